"""`RedisCacheBackend`, as pussycache 1 had it; everything it does is `RedisCache`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pussycache.cache.redis import RedisCache
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["RedisCacheBackend"]


class RedisCacheBackend(RedisCache):
    """A `RedisCache`, made from a timeout, a host, a port and the number of a database.

    :param timeout: seconds that entries are good where nothing else is said: the ``ttl``.
    :param settings: what else `RedisCache` takes.
    :raises ConfigurationError: for an argument that cannot work.
    """

    def __init__(
        self,
        timeout: float | int | timedelta | None,
        host: str = "localhost",
        port: int = 6379,
        db: int = 0,
        **settings: Any,
    ) -> None:
        for name, number in (("port", port), ("db", db)):
            if type(number) is not int or number < 0:
                raise ConfigurationError(f"{name} must be a number, not {number!r}")
        if not isinstance(host, str) or not host:  # type: ignore[redundant-expr]
            raise ConfigurationError(f"host must be a name or an address, not {host!r}")
        where = f"[{host}]" if ":" in host else host
        super().__init__(timeout, f"redis://{where}:{port}/{db}", **settings)
