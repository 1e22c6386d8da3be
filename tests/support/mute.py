"""A backend for Django that for a while does nothing, and does not say so: as pymemcache does."""

from typing import Any

from django.core.cache.backends.locmem import LocMemCache


class MuteCache(LocMemCache):
    """While it is mute, nothing is there, and nothing that is asked of it happens."""

    is_mute = False

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return default if self.is_mute else super().get(key, default, version)

    def add(self, *given: Any, **more: Any) -> bool:
        return not self.is_mute and super().add(*given, **more)

    def set(self, *given: Any, **more: Any) -> None:
        if not self.is_mute:
            super().set(*given, **more)

    def delete(self, *given: Any, **more: Any) -> bool:
        return not self.is_mute and super().delete(*given, **more)
