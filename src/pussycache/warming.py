"""`warm`: makes calls before anybody needs them.

How a call is answered is no business of this module: it calls the method, as any caller does.
"""

from __future__ import annotations

import threading
from _queue import SimpleQueue
from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from typing import Any

from pussycache.compile import Handle
from pussycache.engine.logs import log_failure
from pussycache.errors import ConfigurationError

__all__ = ["warm"]

_OVER = object()


def warm(
    method: Callable[..., Any],
    calls: Iterable[Any],
    /,
    *,
    workers: int = 4,
    progress: Callable[[int], object] | None = None,
) -> Any:
    """Fill the cache with the results of many calls; return how many ended well.

    :param calls: the arguments of each: a tuple, or a mapping of keywords, or, as anything else,
        the only argument. Read as the work goes on; it may be a generator.
    :param workers: how many calls are made at once, default 4: threads, or tasks of the running
        loop for a coroutine method.
    :param progress: is told, after each call, how many have been made; in the thread of the caller.
    :raises ConfigurationError: for what is no cached method, or workers below 1.

    What is remembered already is not loaded again, and a load that somebody else runs is waited
    for. A call that raises is logged by the logger ``pussycache``, and the others go on. For a
    coroutine method, await the result.

    >>> import pussycache
    >>> users = pussycache.wrap({1: "ada", 2: "bob"}, cached_methods=["get"])
    >>> pussycache.warm(users.get, [1, (2,), (3, "nobody")])
    3
    >>> pussycache.peek(users.get, 2)
    'bob'
    """
    handle = getattr(method, "__pussycache__", None)
    if not isinstance(handle, Handle):
        shown = getattr(method, "__qualname__", None) or repr(method)
        raise ConfigurationError(
            f"warm takes a cached method of a proxy or a decorated function, not {shown}; name it "
            "in cached_methods and take it from the proxy, or decorate it with cached"
        )
    if type(workers) is not int or workers < 1:
        raise ConfigurationError(f"workers must be a number of at least 1, not {workers!r}")
    source = iter(calls)
    how = _in_tasks if handle.method.kind == "coroutine" else _in_threads
    return how(method, source, workers, progress or (lambda count: None))


def _made(method: Callable[..., Any], given: Any) -> Any:
    if isinstance(given, tuple):
        return method(*given)
    return method(**given) if isinstance(given, Mapping) else method(given)


def _failed(method: Callable[..., Any], error: Exception) -> None:
    log_failure(f"warming {getattr(method, '__qualname__', method)}", error)


def _in_threads(
    method: Callable[..., Any], source: Any, workers: int, progress: Callable[[int], object]
) -> int:
    ended: SimpleQueue[Any] = SimpleQueue()
    turn = threading.Lock()
    stopped = False

    def work() -> None:
        try:
            while True:
                with turn:
                    given = _OVER if stopped else next(source, _OVER)
                if given is _OVER:
                    return
                try:
                    _made(method, given)
                except Exception as error:
                    _failed(method, error)
                    ended.put(False)
                else:
                    ended.put(True)
        except BaseException as error:
            # The iterable has raised, or the process is to end: that is for the caller.
            ended.put(error)
        finally:
            ended.put(_OVER)

    threads = [
        threading.Thread(
            target=copy_context().run, args=(work,), name="pussycache-warm", daemon=True
        )
        for _ in range(workers)
    ]
    made = well = 0
    try:
        for thread in threads:
            thread.start()
        left = workers
        while left:
            outcome = ended.get()
            if outcome is _OVER:
                left -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                made += 1
                well += outcome
                progress(made)
    finally:
        stopped = True
    return well


async def _in_tasks(
    method: Callable[..., Any], source: Any, workers: int, progress: Callable[[int], object]
) -> int:
    from asyncio import gather

    made = well = 0

    async def work() -> None:
        nonlocal made, well
        for given in source:
            try:
                await _made(method, given)
            except Exception as error:
                _failed(method, error)
            else:
                well += 1
            made += 1
            progress(made)

    await gather(*[work() for _ in range(workers)])
    return well
