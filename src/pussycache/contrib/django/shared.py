"""What an alias of Django's keeps in a server: signed, and by several processes.

What a ``LOCATION`` and its ``OPTIONS`` come to is said here; what is asked of the server, in
cache/shared.
"""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from pussycache.cache.memory import MemoryCache
from pussycache.cache.redis import RedisCache
from pussycache.cache.serializers import PickleSerializer
from pussycache.cache.shared.places import PLAIN
from pussycache.cache.shared.plain import Plain
from pussycache.cache.shared.plain_nearby import PlainNearby
from pussycache.cache.shared.plain_owed import PlainOwed, PlainOwedNearby
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from pussycache.cache.serializers import Codec

__all__ = ["OPTIONS", "Shared", "shared"]

OPTIONS: Final = (
    "coherence",
    "local",
    "max_connections",
    "on_outage",
    "secret_keys",
    "serializer",
    "timeout",
)
"""What ``OPTIONS`` may have where ``LOCATION`` is a server."""
_OF_LOCAL: Final = ("max_bytes", "max_entries")


class _Pickle:
    """Pickle whose complaints are those of pickle, as Django's users know them."""

    def __init__(self, codec: Codec) -> None:
        self.decode = codec.decode

    def encode(self, value: object, /) -> bytes:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


class _PickleSerializer(PickleSerializer):
    def bind(self, annotation: object, /) -> Any:
        return _Pickle(super().bind(annotation))


class Shared(RedisCache):
    """The values of the aliases with one ``LOCATION``, ``KEY_PREFIX`` and ``OPTIONS``.

    :param url: the ``LOCATION``.
    :param key_prefix: the ``KEY_PREFIX``: what is cleared.
    :param options: the ``OPTIONS``, complete: see `_complete`.
    """

    # There is nothing else under this prefix.
    _kinds = ((PLAIN,),)

    def __init__(self, url: str, key_prefix: str, options: dict[str, Any]) -> None:
        options = dict(options)
        local = options.pop("local")
        coherence = options.pop("coherence")
        super().__init__(
            None, url, prefix=f"django.{key_prefix}" if key_prefix else "django", **options
        )
        self.url = url
        goes_on = options["on_outage"] == "queue"
        self._plain = PlainOwed(self._tier) if goes_on else Plain(self._tier)
        self._values: PlainNearby | None = None
        if local is not None:
            kind = PlainOwedNearby if goes_on else PlainNearby
            thread = coherence == "listener"
            self._plain = self._values = kind(self._tier, MemoryCache(**local), thread=thread)

    @property
    def label(self) -> str:
        return f"CacheBackend({self._settings['prefix']})"

    def __len__(self) -> int:
        return sum([line.entries for line in self.survey()])

    def _cleared(self) -> None:
        if self._values is not None:
            self._values.changed(None)
            self._values.near.sweep()

    def _end(self) -> None:
        if self._values is not None:
            self._values.close()
        super()._end()


_made: Final[list[tuple[object, Shared]]] = []
_making: Final = threading.Lock()


def shared(url: str, key_prefix: str, options: dict[str, Any]) -> Shared:
    """Return what a ``LOCATION`` that is a server stands for: for the same settings the same.

    Nothing is asked of the server.

    :raises ConfigurationError: for settings that cannot work.
    """
    wanted = url, key_prefix, _complete(options)
    with _making:
        for settings_of, made in _made:
            if settings_of == wanted:
                return made
        try:
            cache = Shared(*wanted)
        except ConfigurationError as error:
            raise ConfigurationError(f"LOCATION or OPTIONS: {error}") from None
        _made.append((wanted, cache))
        return cache


def _complete(options: dict[str, Any]) -> dict[str, Any]:
    """Return ``OPTIONS`` with what is left out."""
    # As in Django, names in capitals are for the backends that know them.
    given = {name: value for name, value in options.items() if not name.isupper()}
    unknown = [name for name in given if name not in OPTIONS]
    if unknown:
        raise ConfigurationError(
            f"OPTIONS has {', '.join(map(repr, unknown))}; it may have {', '.join(OPTIONS)}"
        )
    complete = {
        "coherence": "poll",
        "on_outage": "queue",
        **given,
        "local": _local(given),
        "serializer": _serializer(given.get("serializer", "pickle")),
    }
    if "secret_keys" not in given:
        complete["secret_keys"] = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    elif not given["secret_keys"]:
        raise ConfigurationError(
            f"OPTIONS['secret_keys'] is {given['secret_keys']!r}, and values are always signed; "
            "leave it out to have them signed with SECRET_KEY"
        )
    return complete


def _local(options: dict[str, Any]) -> dict[str, Any] | None:
    local = options.get("local")
    if local is None or local is False:
        if "coherence" in options:
            raise ConfigurationError(
                "OPTIONS['coherence'] says how what is kept in this process is kept right; give "
                "OPTIONS['local'], too"
            )
        return None
    coherence = options.get("coherence", "poll")
    if coherence not in ("poll", "listener"):
        raise ConfigurationError(
            f"OPTIONS['coherence'] must be 'poll' or 'listener', not {coherence!r}; to have each "
            "value asked for, leave out OPTIONS['local']"
        )
    given = {} if local is True else local
    if not isinstance(given, dict) or not all(name in _OF_LOCAL for name in given):
        raise ConfigurationError(
            f"OPTIONS['local'] must be True or have {' and '.join(_OF_LOCAL)}, not {local!r}"
        )
    return given


_PICKLE: Final = _PickleSerializer()


def _serializer(given: Any) -> Any:
    if given == "pickle":
        return _PICKLE
    if isinstance(given, str) and "." in given:
        try:
            given = import_string(given)
        except ImportError as error:
            raise ConfigurationError(f"OPTIONS['serializer']: {error}") from None
        return given() if isinstance(given, type) else given
    return given
