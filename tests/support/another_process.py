"""A process of its own that shares a cache of Django's, and does what it is told.

The database is a file: what was written there is there, whoever has died.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

FENCE_MS = 1000
"""How long the fence of a writer that was killed stands here."""


class Shelf:
    """What something costs, in a file."""

    def __init__(self, path: str, dies_at: str = "") -> None:
        self.path = Path(path)
        self.dies_at = dies_at
        self.loads = 0

    def __cache_identity__(self) -> str:
        return "shelf"

    def price(self, name: str) -> int:
        self.loads += 1
        return int(self.path.read_text())

    def set_price(self, name: str, amount: int) -> None:
        self._die("before the effect")
        self.path.write_text(str(amount))
        self._die("after the effect")

    def raise_price(self, name: str) -> int:
        """Count up; to be called by one at a time."""
        amount = int(self.path.read_text()) + 1
        self.path.write_text(str(amount))
        return amount

    def _die(self, here: str) -> None:
        if here == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


def wrapped(path: str, dies_at: str = "") -> Any:
    """Return a shelf over the default cache of Django's."""
    import pussycache
    from pussycache import DjangoCache, Forget

    writes = [Forget("price", "name")]
    return pussycache.wrap(
        Shelf(path, dies_at),
        DjangoCache(),
        cached_methods=["price"],
        invalidate_methods={"set_price": writes, "raise_price": writes},
    )


class Another:
    """Another process: its shelf does what `call` says."""

    def __init__(self, settings: dict[str, Any], path: str, dies_at: str = "") -> None:
        context = multiprocessing.get_context("spawn")
        self._told, theirs = context.Pipe()
        given = theirs, settings, path, dies_at
        self._process = context.Process(target=_serve, args=given, daemon=True)
        self._process.start()
        theirs.close()

    def call(self, method: str, *args: Any) -> Any:
        """Have a method called there, and return what it returns."""
        self._told.send((method, args))
        assert self._told.poll(30), "the other process does not answer"
        return self._told.recv()

    def killed(self, method: str, *args: Any) -> None:
        """Have a method called there in which the process is killed."""
        self._told.send((method, args))
        self._process.join(30)
        assert self._process.exitcode == -signal.SIGKILL

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self._told.close()


def _serve(told: Any, settings: dict[str, Any], path: str, dies_at: str) -> None:
    from django.conf import settings as django_settings

    from pussycache.cache.shared.tier import Tier

    django_settings.configure(CACHES={"default": settings})
    Tier.fence_ms = FENCE_MS
    shelf = wrapped(path, dies_at)
    while True:
        method, args = told.recv()
        if method == "loads":
            told.send(shelf._proxied.loads)
        else:
            told.send(getattr(shelf, method)(*args))
