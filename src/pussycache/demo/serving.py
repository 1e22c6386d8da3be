"""``python -m pussycache serve``: the page, with the demo at work behind it.

What the page shows is web's; what is asked and how the demo's object remembers, the demo's.
"""

from __future__ import annotations

import itertools
import random
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

from pussycache.demo.comparison import NoSource, copied, remembering
from pussycache.demo.library import Library
from pussycache.demo.questions import ADDED, Question, questions_for, session
from pussycache.errors import ConfigurationError
from pussycache.see.watchers import observe

__all__ = ["serve"]

_PAUSE: Final = 0.05
"""Seconds between two questions."""
_WRITE: Final = 40
"""After so many questions, a module is rewritten."""
_WATCHED: Final = 2
"""Every so many questions, one is asked of an object that is observed and remembers nothing."""


def serve(host: str, port: int, token: str | None) -> int:
    """Serve the page until somebody ends it; returns the exit code.

    :param port: 0 for any that is free.
    :param token: what allows to forget from the page; `None` if nothing does.
    """
    try:
        import uvicorn

        from pussycache.web import app
    except ImportError as error:
        return _failed(f'the package {error.name!r} is needed: pip install "pussycache[web]"')
    with tempfile.TemporaryDirectory(prefix="pussycache-demo-") as folder:
        try:
            # Before anything takes long.
            listening = _listening(host, port)
            with listening, _at_work(Path(folder)) as (remembers, observed):
                page = app(remembers, observed, token=token)
                server = uvicorn.Server(uvicorn.Config(page, log_level="warning"))
                print(_announced(host, listening.getsockname()[1], token), flush=True)
                # To be ended is no reason to leave the folder behind.
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
                server.run(sockets=[listening])
        except (ConfigurationError, NoSource, OSError) as error:
            return _failed(str(error))
    return 0


def _failed(why: str) -> int:
    print(f"python -m pussycache serve: {why}", file=sys.stderr)
    return 1


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"cannot listen on port {port} of {host} ({error.strerror or error}); if another "
            "program does, take another one with --port, or --port 0 for any that is free"
        ) from None


def _announced(host: str, port: int, token: str | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    said = f"http://{shown}:{port}/\n"
    if token is None:
        said += "Nobody can forget from the page; --token TOKEN allows it to who knows that.\n"
    return f"{said}Ctrl-C ends it."


@contextmanager
def _at_work(folder: Path) -> Iterator[tuple[Library, Library]]:
    """Have questions asked of an object that remembers, and of one that is observed."""
    copied(None, folder)
    remembers, observed = remembering(Library(folder)), observe(Library(folder))
    over = Event()
    asking = Thread(target=_ask, args=(remembers, observed, over), name="demo", daemon=True)
    asking.start()
    try:
        yield remembers, observed
    finally:
        over.set()
        asking.join()


def _ask(remembers: Library, observed: Library, over: Event) -> None:
    questions = questions_for(remembers)
    modules = [question.subject for question in questions if question.method == "outline"]
    for number, question in enumerate(_without_end(questions), 1):
        question.asked_of(remembers)
        if number % _WATCHED == 0:
            question.asked_of(observed)
        if number % _WRITE == 0:
            module = random.choice(modules)
            # Something is added, or taken out again: an answer of each method changes.
            before = remembers.source(module)
            after = before.removesuffix(ADDED) if before.endswith(ADDED) else before + ADDED
            for library in (remembers, observed):
                library.rewrite(module, after)
        if over.wait(_PAUSE):
            return


def _without_end(questions: list[Question]) -> Iterator[Question]:
    return itertools.chain.from_iterable(session(questions) for _ in itertools.count())
