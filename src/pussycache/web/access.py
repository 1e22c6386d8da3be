"""Who may forget from the page: who knows the token, and was not sent by another site.

Pure: headers come in, and why not goes out.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEADER", "Access"]

HEADER: Final = "x-pussycache-token"
"""No form can send a header, and no script of another site one that it was not allowed to."""


class Access:
    """Whether a request may change something.

    :param token: what it has to know; `None` if nobody may.
    """

    def __init__(self, token: str | None) -> None:
        if token is not None:
            given: object = token
            if not isinstance(given, str) or not given or given.strip() != given:
                raise ConfigurationError(
                    "token must be a string that neither is empty nor begins or ends with a space; "
                    "make one with secrets.token_urlsafe()"
                )
            if not (given.isascii() and given.isprintable()):
                raise ConfigurationError(
                    "token must consist of ASCII letters, digits and signs, for it travels in a "
                    "header; make one with secrets.token_urlsafe()"
                )
        self._token = None if token is None else token.encode()

    @property
    def possible(self) -> bool:
        """Whether there is anybody who may."""
        return self._token is not None

    def refused(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request may not; `None` if it may.

        :param headers: by names, whatever their case.
        """
        if self._token is None:
            return "forgetting is off: the application was made without a token"
        if not _from_here(headers):
            return "refused: another site has sent this"
        sent = headers.get(HEADER, "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(sent, self._token):
            return "the token is not right" if sent else "a token is needed"
        return None


def _from_here(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that the page itself has sent it; other programs say nothing."""
    # Where browsers say this, it holds behind a proxy, too, that calls the host by another name.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
