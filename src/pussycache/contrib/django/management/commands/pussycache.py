"""``manage.py pussycache status | forget | clear``; what they do is in overview.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError

from pussycache.contrib.django import overview
from pussycache.contrib.django.backend import CacheBackend
from pussycache.contrib.django.memory import Memory
from pussycache.engine.entry import Cause
from pussycache.errors import BackendUnavailable

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc] # Django has no types
    """Say what is remembered, and forget it."""

    help = (
        "Says what is remembered (status), and forgets a method (forget) or all there is (clear). "
        "Values in memory, and figures, belong to their process: of these the command sees its own "
        "only. What is in a server it sees whole."
    )

    def add_arguments(self, parser: Any) -> None:
        """Say what may be said on the command line."""
        commands = parser.add_subparsers(dest="what", required=True)
        commands.add_parser("status", help="the figures of each method")
        forget = commands.add_parser("forget", help="forget every call of methods")
        forget.add_argument("method", nargs="+", help="as status names it: module.Class.method")
        clear = commands.add_parser("clear", help="forget every call of every method")
        clear.add_argument(
            "--alias",
            action="append",
            default=[],
            help="clear this one of CACHES too; may be given several times",
        )

    def handle(self, *, what: str, **options: Any) -> None:
        """Do what was said."""
        if what == "status":
            self._status()
        elif what == "forget":
            self._forget(options["method"])
        else:
            self._clear(options["alias"])

    def _status(self) -> None:
        self.stdout.write(f"{'method':<60} {'entries':>8} {'hits':>10} {'misses':>10} {'ratio':>8}")
        for row in overview.rows():
            info = row.info
            figures = f"{info.entries:>8} {info.hits:>10} {info.misses:>10} {row.percent:>8}"
            self.stdout.write(f"{row.name:<60} {figures}")
        for alias in caches:
            backend = caches[alias]
            if isinstance(backend, CacheBackend) and isinstance(backend.store, Memory):
                self.stdout.write(f"{f'CACHES[{alias!r}]':<60} {len(backend):>8}")
        for server in overview.servers(count=True):
            self.stdout.write(f"\n{server.name}: {server.state}; {server.store.pending} pending")
            for line in server.lines or ():
                name = f"{line.owner} {line.method}".strip()
                self.stdout.write(f"  {name:<58} {line.entries:>8} {line.size:>10} bytes")

    def _forget(self, methods: list[str]) -> None:
        known = [row.name for row in overview.rows()]
        for method in methods:
            if method not in known:
                there = ", ".join(known) or "none"
                raise CommandError(f"{method!r} is not remembered here; there is: {there}")
        for method in methods:
            with _told():
                overview.forget(method, Cause("manage.py forget"))
            self.stdout.write(f"forgot {method}")
        self._complain()

    def _clear(self, aliases: list[str]) -> None:
        for alias in aliases:
            if alias not in caches.settings:
                there = ", ".join(caches.settings)
                raise CommandError(f"--alias {alias!r} is not in CACHES; there is: {there}")
        with _told():
            self.stdout.write(f"forgot {overview.clear(Cause('manage.py clear'))} methods")
        for alias in aliases:
            with _told():
                caches[alias].clear()
            self.stdout.write(f"cleared CACHES[{alias!r}]")
        self._complain()

    def _complain(self) -> None:
        pending = overview.pending()
        if pending:
            raise CommandError(
                f"{pending} invalidations have not reached their server, which does not answer; "
                "say it again when it does"
            )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BackendUnavailable as error:
        raise CommandError(str(error)) from error
