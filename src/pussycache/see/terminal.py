"""The command ``python -m pussycache top``: the figures live in a terminal.

Of a process that serves the page, they are those of the page; of a shared cache, those of the
command ``server``. Nothing is counted here.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from http.client import HTTPException
from itertools import pairwise
from time import monotonic, sleep, strftime
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from pussycache.errors import PussyCacheError
from pussycache.see.words import duration, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pussycache.see.server import Store

__all__ = ["show_top"]

_EVERY: Final = 1.0
_SHARE: Final = 5
"""Looking may take a fifth of the time: to count what is in a large server takes a while."""
_TIMEOUT: Final = 5.0
_MOST: Final = 10_000_000
_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN: Final = 160
"""How wide a table is that goes into a pipe."""


class Failed(Exception):
    """There is nothing to show; says why, and what to do."""


class Source(Protocol):
    """What is looked at."""

    def look(self) -> RenderableType:
        """Return what there is to see now.

        :raises Failed: if that cannot be said.
        """


def show_top(url: str, prefix: str, *, once: bool) -> int:
    """Show the figures until somebody ends it; returns the exit code.

    :param url: the address of a page, or a shared cache's, as `RedisCache` takes it.
    :param prefix: what the keys of the shared cache begin with.
    :param once: print one table and return; so it is, too, where there is no terminal.
    """
    try:
        from rich.console import Console
    except ImportError:
        return _failed("the package 'rich' is needed: pip install \"pussycache[web]\"")
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=_PLAIN if piped else None)
    try:
        with ExitStack() as stack:
            source = _source(url, prefix, stack)
            seen = source.look()
            if once or not console.is_terminal:
                console.print(seen)
                return 0
            return _live(source, seen, console)
    except (Failed, PussyCacheError) as error:
        return _failed(str(error))
    except ImportError as error:
        return _failed(f'the package {error.name!r} is needed: pip install "pussycache[redis]"')


def _failed(why: str) -> int:
    print(f"python -m pussycache top: {_safe(why)}", file=sys.stderr)
    return 1


def _source(url: str, prefix: str, stack: ExitStack) -> Source:
    scheme = url.partition("://")[0].lower()
    if scheme in ("http", "https"):
        return _Page(url)
    if "://" not in url:
        raise Failed(
            f"{url!r} is no address; give one like http://127.0.0.1:8000/ of a process that serves "
            "the page, or redis://localhost:6379/0 of a shared cache"
        )
    from pussycache.see.server import store

    return _Shared(url, stack.enter_context(store(url, prefix)))


def _live(source: Source, seen: RenderableType, console: Any) -> int:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(seen, console=console, screen=True, auto_refresh=False) as live:
        while True:
            began = monotonic()
            try:
                seen = source.look()
                live.update(seen, refresh=True)
            except (Failed, PussyCacheError) as error:
                # It may come again; what was seen last stays.
                live.update(Group(Text(_safe(str(error)), "bold red"), seen), refresh=True)
            sleep(max(_EVERY, _SHARE * (monotonic() - began)))


def _safe(said: str) -> str:
    """Return a text in which nothing is left that a terminal could take for a command."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in said.encode("utf-8", "backslashreplace").decode()
    )


class _Page:
    """A process that serves the page."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            _ = parts.port
        except ValueError as error:
            raise Failed(f"{url!r} is no address: {error}") from None
        path = parts.path.removesuffix("figures.json").rstrip("/")
        self._shown = parts._replace(path=f"{path}/", query="", fragment="").geturl()
        self._url = f"{self._shown}figures.json"
        # A proxy is for what is far away.
        near = parts.hostname in ("localhost", "::1") or (parts.hostname or "").startswith("127.")
        self._opener = build_opener(*([ProxyHandler({})] if near else []))

    def look(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        found = self._asked()
        total, past = found["total"], found["history"]
        title = Text(f"pussycache, process {found['process']['pid']}", "bold")
        title.append(f"  {_safe(self._shown)}  {strftime('%H:%M:%S')}", "dim")
        ratios = [_ratio(now[1] - then[1], now[2] - then[2]) for then, now in pairwise(past)]
        lines = Text()
        lines.append(f"hit ratio {_percent(_ratio(total['hits'], total['misses']))}  ")
        lines.append(_sparkline(ratios[-60:]), "blue")
        lines.append(f"  saved about {duration(total['time_saved'])}")
        return Group(title, lines, *_alarms(found), self._table(found))

    def _asked(self) -> dict[str, Any]:
        try:
            with self._opener.open(self._url, timeout=_TIMEOUT) as answer:
                body = answer.read(_MOST)
        except HTTPError as error:
            error.close()
            raise Failed(
                f"{self._url} answers {error.code}: there is no page of pussycache here, or one "
                "has to log in; give the address at which web.app is mounted"
            ) from None
        except (OSError, HTTPException) as error:
            why = getattr(error, "reason", error)
            raise Failed(
                f"nothing answers at {self._shown} ({why}); does the process run, and does it "
                "serve the page? `python -m pussycache serve` does"
            ) from None
        try:
            found = json.loads(body)
            if found["pussycache"] != 1:
                raise ValueError(found)
        except (ValueError, TypeError, LookupError, RecursionError):
            raise Failed(
                f"what answers at {self._shown} is not a page of pussycache's; give the address at "
                "which web.app is mounted"
            ) from None
        told: dict[str, Any] = found
        return told

    def _table(self, found: dict[str, Any]) -> RenderableType:
        rows = []
        for method in found["methods"]:
            ended = method["loads"] + method["failures"]
            rows.append(
                [
                    method["label"],
                    f"{method['hits'] + method['misses']:,}",
                    _percent(_ratio(method["hits"], method["misses"])),
                    duration(method["load_time"] / ended) if ended else "-",
                    duration(method["time_saved"]) if method["time_saved"] else "-",
                    *(f"{method[name]:,}" for name in ("entries", "invalidations", "evictions")),
                    f"{method['failures']:,}",
                ]
            )
        headings = ("method", "calls", "hit ratio", "a load", "saved", "entries", "invalidated")
        return _table((*headings, "evicted", "failed"), rows, 1, more=found["more"])


class _Shared:
    """A shared cache."""

    def __init__(self, url: str, store: Store) -> None:
        self._url = urlsplit(url)
        self._store = store

    def look(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        lines = self._store.lines()
        # A password in the address is nobody's business.
        where = f"{self._url.scheme}://{self._url.netloc.rpartition('@')[2]}{self._url.path}"
        title = Text("pussycache, shared cache", "bold")
        title.append(f"  {_safe(where)}  {strftime('%H:%M:%S')}", "dim")
        rows = [
            [
                *(line.owner, line.method),
                *(f"{n:,}" for n in (line.entries, line.size, line.generations, line.writers)),
            ]
            for line in sorted(lines, key=lambda line: -line.entries)
        ]
        headings = ("namespace", "method", "entries", "bytes", "generations", "writers")
        if not rows:
            return Group(title, Text("nothing is remembered under this prefix"))
        return Group(title, _table(headings, rows, 2))


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], names: int, more: int = 0
) -> RenderableType:
    """Return a table; the first columns are names, the others numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    caption = f"and {more:,} more, which were called less" if more else None
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", pad_edge=False)
    for at, heading in enumerate(headings):
        if at < names:
            table.add_column(heading, overflow="fold", no_wrap=False)
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        # Text and not markup: a name may look like that.
        table.add_row(*[Text(_safe(cell)) for cell in row])
    return table


def _alarms(found: dict[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    said = [
        f"{store['name']} does not answer (breaker {store['breaker']}): calls compute"
        for store in found["stores"]
        if store["breaker"] != "closed"
    ]
    if pending := found["total"]["pending"]:
        said.append(f"invalidations that have not reached the shared cache yet: {pending:,}")
    return [Text(_safe(alarm), "bold red") for alarm in said]


def _ratio(hits: float, misses: float) -> float | None:
    calls = hits + misses
    return hits / calls if calls > 0 else None


def _percent(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _sparkline(ratios: Sequence[float | None]) -> str:
    return "".join(
        " " if ratio is None else _BARS[min(len(_BARS) - 1, int(ratio * len(_BARS)))]
        for ratio in ratios
    )
