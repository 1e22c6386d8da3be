"""`DjangoCacheBackend`: the name and the constructor that came first. What it does is not here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.django import DjangoCache

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["DjangoCacheBackend"]

_SETTINGS: Final = ("KEY_FUNCTION", "KEY_PREFIX", "OPTIONS", "VERSION")


class DjangoCacheBackend(DjangoCache):
    """A `DjangoCache` whose backend is named here.

    :param timeout: seconds that entries are good where nothing else is said; `None` is for ever.
    :param backend: a backend of Django's, such as
        ``"django.core.cache.backends.locmem.LocMemCache"``.
    :param location: its ``LOCATION``.
    :param options: ``KEY_PREFIX``, ``KEY_FUNCTION``, ``VERSION`` and ``OPTIONS`` as in ``CACHES``;
        others are ``OPTIONS`` themselves.

    Where Django has no settings, it is configured with this cache as ``default``. Where it has,
    they are left alone, and the backend belongs to this object.

    >>> from pussycache.cache.django_backend import DjangoCacheBackend
    >>> cache = DjangoCacheBackend(30, "django.core.cache.backends.locmem.LocMemCache", "mine")
    >>> cache.set("mykey", "my value", 10)
    >>> cache.get("mykey")
    'my value'
    """

    def __init__(
        self,
        timeout: float | int | timedelta | None,
        backend: str,
        location: str,
        **options: Any,
    ) -> None:
        from django.conf import settings
        from django.core.cache import CacheHandler

        super().__init__("default", timeout)
        said: dict[str, Any] = {name: options.pop(name) for name in _SETTINGS if name in options}
        if options:
            said["OPTIONS"] = {**said.get("OPTIONS", {}), **options}
        said |= {"BACKEND": backend, "LOCATION": location, "TIMEOUT": self._ttl}
        self._own: Any = None
        if settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE"):
            self._own = CacheHandler({"default": said})
        else:
            settings.configure(CACHES={"default": said})

    @property
    def _handler(self) -> Any:
        return super()._handler if self._own is None else self._own
