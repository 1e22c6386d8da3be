"""Dates with a time, and their zones, taken apart into plain data and made again.

Which bytes that data becomes is not known here.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from pussycache.cache.shapes import NotStorable

__all__ = ["make_datetime", "make_time", "take"]


def take(moment: datetime | time) -> list[Any]:
    """Return what a datetime or a time consists of: what its clock shows, its fold, its zone.

    :raises NotStorable: if its zone has no name that another process knows, too.
    """
    return [moment.replace(tzinfo=None).isoformat(), moment.fold, _told(moment.tzinfo)]


def make_datetime(naive: str, fold: int, zone: Any) -> datetime:
    """Return the datetime that was taken apart; raises whatever, if it was none."""
    return datetime.fromisoformat(naive).replace(fold=fold, tzinfo=_zone(zone))


def make_time(naive: str, fold: int, zone: Any) -> time:
    """Return the time that was taken apart; raises whatever, if it was none."""
    return time.fromisoformat(naive).replace(fold=fold, tzinfo=_zone(zone))


def _told(zone: tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [offset.days, offset.seconds, offset.microseconds, *name]
    raise NotStorable(
        type(zone),
        "it is a time zone that is not known by name",
        "use datetime.timezone or zoneinfo",
    )


def _zone(told: Any) -> tzinfo | None:
    if told is None:
        return None
    if type(told) is str:
        return ZoneInfo(told)
    days, seconds, microseconds, *name = told
    return timezone(timedelta(days, seconds, microseconds), *name)
