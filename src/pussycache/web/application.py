"""`app`: the ASGI application, its addresses, and what each answers.

What is shown, who may forget and what the page looks like is said elsewhere.
"""

from __future__ import annotations

import json
import os
import secrets
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from pussycache.errors import BackendUnavailable
from pussycache.web.access import Access
from pussycache.web.journal import Journal
from pussycache.web.sources import Sources

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["app"]

_MOST: Final = 10_000
"""Bytes of what is sent to us; a name of a method has fewer."""
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS: Final = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


def app(*proxies_or_caches: Any, token: str | None = None, arguments: bool = False) -> Starlette:
    """Return an ASGI application with one live page; mount it, or serve it by itself.

    Whoever can reach it sees the names of methods and their figures, so mount it where others may
    not come, or behind what your application has for that.

    :param proxies_or_caches: what is shown: objects that were wrapped, cached functions, caches
        with all their methods, and observed objects with what the advisor says of them. By default,
        all caches of this process.
    :param token: what one has to know to forget a method's results from the page; make one with
        ``secrets.token_urlsafe()``. By default nobody may. Forgetting counts as a write.
    :param arguments: show the arguments of the latest writes, too.
    :raises ConfigurationError: for anything else among what is to be shown, and for a token that
        cannot be sent in a header.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> page = pussycache.web.app(users)

    ``application.mount("/cache", page)`` is all that FastAPI and Starlette want.
    """
    return _Page(Sources(proxies_or_caches, arguments=arguments), Access(token)).application()


class _Page:
    """What the addresses answer."""

    def __init__(self, sources: Sources, access: Access) -> None:
        self._sources = sources
        self._access = access
        self._journal = Journal(sources)
        self._name = secrets.token_hex(8)

    def application(self) -> Starlette:
        routes = [
            Route("/figures.json", self.figures),
            Route("/advice.json", self.advice),
            Route("/token", self.token, methods=["POST"]),
            Route("/forget", self.forget, methods=["POST"]),
        ]
        for file in files("pussycache.web").joinpath("files").iterdir():
            kind = _KINDS[file.name.rpartition(".")[2]]
            path = "/" if file.name == "page.html" else f"/{file.name}"
            routes.append(Route(path, _sending(file.read_bytes(), kind)))
        made = Starlette(routes=routes)
        made.add_middleware(_Guarded)
        return made

    async def figures(self, request: Request) -> Response:
        """The figures, and the points of the history after one that is known."""
        after = request.query_params.get("after", "-1")
        number = int(after) if after.isascii() and after.isdecimal() and len(after) < 20 else -1
        found = await run_in_threadpool(self._journal.look, number)
        # A fork has figures of its own.
        process = {"id": f"{self._name}-{os.getpid()}", "pid": os.getpid()}
        found |= {
            "pussycache": 1,
            "process": process,
            "forgetting": self._access.possible,
            "observed": len(self._sources.observed),
        }
        return _json(found)

    async def advice(self, request: Request) -> Response:
        """What the advisor says of observed objects."""
        return _json(await run_in_threadpool(self._sources.advice))

    async def token(self, request: Request) -> Response:
        """Whether a token is the right one."""
        why = self._access.refused(request.headers)
        return _said(why, 403) if why else _said("forgetting is allowed", 200)

    async def forget(self, request: Request) -> Response:
        """Forget all results of a method."""
        why = self._access.refused(request.headers)
        if why:
            return _said(why, 403)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _said("send JSON, as application/json", 415)
        body = await _body(request)
        if body is None:
            return _said("too much was sent", 413)
        try:
            label = json.loads(body)["method"]
        except (ValueError, TypeError, LookupError, RecursionError):
            label = None
        if not isinstance(label, str):
            return _said('send {"method": "..."}, with the name that the page shows', 400)
        try:
            found = await self._sources.forget(label)
        except BackendUnavailable as error:
            return _said(f"not forgotten: {error}", 503)
        return (
            _said(f"forgot {label}", 200)
            if found
            else _said("there is nothing of that name to forget", 404)
        )


def _said(text: str, status: int) -> Response:
    return _json({"said": text}, status)


def _json(found: Any, status: int = 200) -> Response:
    # In ASCII: a name may have letters that UTF-8 has not.
    content = json.dumps(found, allow_nan=False, separators=(",", ":"))
    return Response(content, status, media_type="application/json")


async def _body(request: Request) -> bytes | None:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            return None
    return body


def _sending(content: bytes, kind: str) -> Any:
    async def send(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return send


class _Guarded:
    """Sends with every answer what browsers are to know."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        await self._inner(scope, receive, sending)
