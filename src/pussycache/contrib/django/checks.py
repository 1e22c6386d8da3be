"""What ``manage.py check`` says of settings that do not mean what they seem to."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.checks import Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from pussycache.contrib.django.backend import CacheBackend, is_server
from pussycache.errors import ConfigurationError

__all__ = ["check_caches", "check_databases"]

_OPTIONS: Final = ("MAX_ENTRIES", "CULL_FREQUENCY")
_BOTH: Final = " and ".join(_OPTIONS)
_KNOWN: Final = (
    "BACKEND",
    "KEY_FUNCTION",
    "KEY_PREFIX",
    "LOCATION",
    "OPTIONS",
    "TIMEOUT",
    "VERSION",
)


def check_caches(app_configs: Any, **kwargs: Any) -> list[Any]:
    """Look at those of ``CACHES`` that are ours."""
    found: list[Any] = []
    for alias, said in settings.CACHES.items():
        kind = _ours(said.get("BACKEND"))
        if kind is not None:
            found += _of_alias(alias, said, kind)
    return found


def check_databases(app_configs: Any, **kwargs: Any) -> list[Any]:
    """Look whether transactions can be told to end."""
    return [
        Warning(
            f"DATABASES[{alias!r}] has AUTOCOMMIT off: writes inside of its transactions keep "
            "what they make wrong from being remembered until the connection is closed.",
            hint="Leave AUTOCOMMIT on, and use transaction.atomic().",
            id="pussycache.W003",
        )
        for alias, said in settings.DATABASES.items()
        if said.get("AUTOCOMMIT", True) is False
    ]


def _ours(backend: Any) -> type[CacheBackend] | None:
    try:
        kind = import_string(backend) if isinstance(backend, str) else backend
    except ImportError:
        # Django says so itself.
        return None
    return kind if isinstance(kind, type) and issubclass(kind, CacheBackend) else None


def _of_alias(alias: str, said: dict[str, Any], kind: type[CacheBackend]) -> list[Any]:
    found: list[Any] = []
    where = f"CACHES[{alias!r}]"
    options = said.get("OPTIONS", {})
    location = said.get("LOCATION", "")
    shared = is_server(location)
    # What a server knows of OPTIONS is looked at where the settings are tried.
    idle = [name for name in options if (name.isupper() if shared else name not in _OPTIONS)]
    unknown = [
        *(name for name in said if name not in _KNOWN),
        *(f"OPTIONS[{name!r}]" for name in idle),
    ]
    if unknown:
        hint = "A server throws out what it has to." if shared else f"OPTIONS may have {_BOTH}."
        found.append(
            Warning(
                f"{where} has {', '.join(unknown)}, which means nothing here.",
                hint=hint,
                id="pussycache.W001",
            )
        )
    if not shared and isinstance(location, str) and ":" in location:
        found.append(
            Warning(
                f"{where} has LOCATION = {location!r}, which is a name: values are kept in memory.",
                hint="The URL of a server begins with redis://, rediss:// or unix://.",
                id="pussycache.W004",
            )
        )
    try:
        kind(location, said)
    except (ConfigurationError, ImproperlyConfigured, ImportError) as error:
        found.append(Error(f"{where} cannot work: {error}", id="pussycache.E001"))
    numbers = {} if shared else {name: options[name] for name in _OPTIONS if name in options}
    if said.get("TIMEOUT") is not None:
        numbers["TIMEOUT"] = said["TIMEOUT"]
    for name, value in numbers.items():
        # Django takes its default for what it cannot read, and says nothing.
        if not _is_number(value):
            found.append(
                Warning(
                    f"{where} has {name} = {value!r}, which is no whole number: Django's default "
                    "is used.",
                    id="pussycache.W002",
                )
            )
    return found


def _is_number(value: Any) -> bool:
    try:
        return bool(int(value) == float(value))
    except (TypeError, ValueError):
        return False
