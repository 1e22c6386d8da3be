"""A backend for Django whose every step is one that others may come before: for random schedules.

What is run over it runs in greenlets, of which one at a time makes one step. Its clock stands still
until it is told to go on.
"""

from typing import Any, ClassVar

import greenlet
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache


def pause() -> None:
    """Let others make a step, if this is a greenlet of a schedule."""
    hub = greenlet.getcurrent().parent
    if hub is not None and not SteppingCache.is_over:
        hub.switch()


class SteppingCache(BaseCache):
    """As plain as may be: a look at several keys is several steps, `add` is one."""

    kept: ClassVar[dict[str, tuple[Any, float | None]]] = {}
    now: ClassVar[float] = 0.0
    is_over: ClassVar[bool] = False

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _step(self) -> None:
        if self.is_over:
            raise OSError("the schedule is over")
        pause()

    def _until(self, timeout: Any) -> float | None:
        timeout = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if timeout is None else self.now + timeout

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        self._step()
        value, until = self.kept.get(key, (default, None))
        return value if until is None or until > self.now else default

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self._step()
        self.kept[key] = value, self._until(timeout)

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        self._step()
        until = self.kept.get(key, (None, self.now))[1]
        if until is None or until > self.now:
            return False
        self.kept[key] = value, self._until(timeout)
        return True

    def delete(self, key: str, version: int | None = None) -> bool:
        self._step()
        return self.kept.pop(key, None) is not None

    @classmethod
    def begin(cls) -> None:
        """Begin a schedule, with nothing kept."""
        cls.kept.clear()
        cls.now, cls.is_over = 0.0, False
