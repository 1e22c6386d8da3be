"""A panel for django-debug-toolbar: what was remembered, loaded and forgotten during a request.

It compares the figures from before and after the request; nothing is counted for it.
"""

from __future__ import annotations

import time
from typing import Any

from debug_toolbar.panels import Panel

from pussycache.contrib.django import overview
from pussycache.stats import CacheInfo

__all__ = ["PussyCachePanel"]

_FIGURES = ("hits", "misses", "loads", "invalidations")


class PussyCachePanel(Panel):  # type: ignore[misc] # the toolbar has no types
    """``"pussycache.contrib.django.panel.PussyCachePanel"`` in ``DEBUG_TOOLBAR_PANELS``.

    Shows, for each method that was called, hits, misses, loads, about how much time the hits have
    saved, and which methods made entries wrong, of those in memory with their arguments; and of the
    servers that the process uses, whether they answer, and what they have not been told yet. The
    figures are those of the process: what another thread does at the same time is among them.
    """

    title = "pussycache"
    nav_title = "pussycache"
    template = "pussycache/panel.html"

    @property
    def nav_subtitle(self) -> str:
        """The sum of it, for the side bar."""
        rows = self.get_stats().get("rows", [])
        hits = sum([row["hits"] for row in rows])
        misses = sum([row["misses"] for row in rows])
        return f"{hits} hits, {misses} misses"

    def process_request(self, request: Any) -> Any:
        """Note the figures before the request."""
        self._before = {row.name: row.info for row in overview.rows()}
        self._began = time.time()
        return super().process_request(request)

    def generate_stats(self, request: Any, response: Any) -> None:
        """Compare them with those after it."""
        found = []
        for name, info in overview.rows():
            between = info - self._before.get(name, CacheInfo())
            changes = {figure: getattr(between, figure) for figure in _FIGURES}
            if any(changes.values()):
                # A request may have no loads to tell how long one takes.
                saved = between.hits * info.load_times.median
                writers = {writer: n for writer, n in between.invalidated.items() if n}
                found.append(
                    {
                        "name": name,
                        "entries": info.entries,
                        "saved": overview.shown(saved),
                        "writers": writers,
                        **changes,
                    }
                )
        servers = [
            {**one.store._asdict(), "name": one.name, "state": one.state}
            for one in overview.servers()
        ]
        causes = overview.causes_since(self._began)
        self.record_stats({"rows": found, "causes": causes, "servers": servers})
