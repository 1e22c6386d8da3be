"""A block of somebody's own code that counts as one call of an invalidating method.

What a write does, and in which order, is said in engine/writes.py.
"""

from __future__ import annotations

from contextlib import ContextDecorator, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from pussycache.declare.parameters import signature
from pussycache.engine.writes import Write
from pussycache.errors import ConfigurationError
from pussycache.writers import Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

__all__ = ["Block"]


class Block(ContextDecorator):
    """What `pussycache.writing` returns, for ``with`` and ``async with``."""

    def __init__(
        self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        declared = getattr(method, "__pussycache_writes__", None)
        if not isinstance(declared, Writing):
            shown = getattr(method, "__qualname__", None) or repr(method)
            raise ConfigurationError(
                f"writing takes an invalidating method, not {shown}; name it in "
                "invalidate_methods, or decorate it with invalidates"
            )
        self._writes = declared
        try:
            bound = signature(declared.method.params).bind_partial(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"writing({declared.method.name}): {error}") from None
        bound.apply_defaults()
        self._arguments = bound.arguments
        self._owner = getattr(method, "__self__", None)
        self._entered: Any = None

    def _recreate_cm(self) -> Block:
        # As a decorator it is entered by each call, it may be by several threads at once.
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__, _entered=None)
        return made

    def __enter__(self) -> None:
        entered = self._enter(_block(self._write()))
        try:
            entered.__enter__()
        except BaseException:
            self._entered = None
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        entered, self._entered = self._entered, None
        left: bool | None = entered.__exit__(kind, error, traceback)
        return left

    async def __aenter__(self) -> None:
        entered = self._enter(_ablock(self._write()))
        try:
            await entered.__aenter__()
        except BaseException:
            self._entered = None
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        entered, self._entered = self._entered, None
        left: bool | None = await entered.__aexit__(kind, error, traceback)
        return left

    def _enter(self, entered: Any) -> Any:
        if self._entered is not None:
            raise ConfigurationError(
                "a block of writing has been entered already; call writing for each block"
            )
        self._entered = entered
        return entered

    def _write(self) -> Write:
        method = self._writes.method
        effects = self._writes.effects(self._owner)
        return Write(method.name, effects, self._arguments, method.label)


@contextmanager
def _block(write: Write) -> Iterator[None]:
    write.begin(inside=True)
    try:
        yield
    finally:
        write.end()


@asynccontextmanager
async def _ablock(write: Write) -> AsyncIterator[None]:
    await write.abegin(inside=True)
    try:
        yield
    finally:
        await write.aend()
