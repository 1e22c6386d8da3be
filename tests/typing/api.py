"""Code as a user writes it, read by type checkers and never run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

from starlette.applications import Starlette

import pussycache
from pussycache import (
    Cached,
    Forget,
    ForgetTag,
    MemoryCache,
    cached,
    forget_tag,
    invalidates,
    warm,
)
from pussycache.cache import BaseCacheBackend
from pussycache.proxy import BaseProxy
from pussycache.testing import FakeClock, Report, Tried, assert_coherent, audit, guarded
from pussycache.types import Missing


class Users:
    def get_user(self, user_id: int, *, fresh: bool = False) -> str:
        return f"{user_id}{fresh}"

    async def fetch(self, user_id: int) -> str:
        return str(user_id)

    def rename(self, user_id: int, name: str) -> None: ...


users = pussycache.wrap(
    Users(),
    MemoryCache(ttl=timedelta(minutes=5), max_entries=100),
    cached_methods={"get_user": Cached(ttl=60, when=lambda user: user is not None), "fetch": 30},
    invalidate_methods={"rename": [Forget("get_user", "user_id"), "fetch"]},
)
assert_type(users, Users)
assert_type(users.get_user(1), str)
assert_type(pussycache.peek(users.get_user, 1, fresh=True), str | Missing)
assert_type(pussycache.peek(users.fetch, 1), str | Missing)
assert_type(pussycache.forget(users.get_user, 1), bool)
assert_type(pussycache.refresh(users.get_user, 1), str)
assert_type(pussycache.put(users.get_user, "ada", 1), bool)
assert_type(pussycache.info(users), pussycache.CacheInfo)
assert_type(pussycache.explain(users.get_user, 1).reason, str)
assert_type(pussycache.explain(users.get_user, 1).thread, str | None)
with pussycache.trace(limit=10) as traced:
    assert_type(users.get_user(1), str)
assert_type(traced.calls[0].method, str)
assert_type(traced.calls[0].load_seconds, float | None)
assert_type(next(iter(traced)).children[0].forgot[0].entries, int | None)
assert_type(pussycache.cache_of(users), pussycache.Cache)
pussycache.forget_all(users)
pussycache.forget_all(users.get_user)
with pussycache.writing(users.rename, user_id=7), pussycache.disabled(), guarded():
    pass
with FakeClock() as clock:
    clock.advance(60)


async def use() -> None:
    assert_type(await users.fetch(1), str)
    assert_type(await pussycache.refresh(users.fetch, 1), str)
    assert_type(await pussycache.arefresh(users.fetch, 1), str)
    assert_type(await pussycache.apeek(users.get_user, 1), str | Missing)
    assert_type(await pussycache.aforget(users.get_user, 1), bool)
    async with pussycache.writing(users.rename, user_id=7):
        pass


class Repository:
    @cached(ttl=60, guard=True)
    def get_user(self, user_id: int) -> str:
        return str(user_id)

    @cached
    async def fetch(self, user_id: int) -> str:
        return str(user_id)

    @invalidates("fetch", Forget("get_user", "user_id"))
    def rename(self, user_id: int, name: str) -> bool:
        return bool(name)

    @cached(stale_for=5, timeout=timedelta(seconds=1), errors={KeyError: 5}, tags=["u:{user_id}"])
    def profile(self, user_id: int) -> str:
        return str(user_id)

    @invalidates(ForgetTag("u:{user_id}"))
    def renew(self, user_id: int) -> None:
        pass

    @cached(each="ids")
    def get_many(self, ids: list[int]) -> dict[int, str]:
        return {}

    @property
    @cached
    def total(self) -> int:
        return 1


repository = Repository()
assert_type(repository.get_user(1), str)
assert_type(repository.rename(1, "ada"), bool)
assert_type(repository.total, int)
assert_type(repository.profile(1), str)
assert_type(repository.get_many([1]), dict[int, str])
forget_tag(MemoryCache(), "u:1")

# A cache as a file.
kept = MemoryCache()
assert_type(kept.save(Path("warm"), secret_keys=["..."]).saved, int)
assert_type(kept.load("warm").refused, Mapping[str, int])
warm(repository.profile, [1, 2], workers=2, progress=print)
assert_type(pussycache.peek(repository.get_user, 1), str | Missing)


@cached
def slow(number: int) -> list[int]:
    return [number]


assert_type(slow(1), list[int])

cache = BaseCacheBackend(30)
assert_type(cache.get_or_set("key", 1), Any)
old = BaseProxy(
    Users(), cache=cache, cached_methods=["get_user"], invalidate_methods={"rename": ["get_user"]}
)
old.get_user(1)
old._cache.set("mykey", "my value", 10)


class CachedUsers(BaseProxy):
    cached_methods = {"get_user": 60, "fetch": Cached(ttl=5, guard=True)}
    invalidate_methods = {"rename": ["get_user"]}


CachedUsers(Users(), cache=cache).get_user(1)

# A `Cached` is a frozen dataclass.
assert_type(dataclasses.replace(Cached(ttl=60), ttl=5), Cached)
Cached().ttl = 5  # pyright: ignore[reportAttributeAccessIssue]

# What must be an error is one.
users.get_user("one")  # pyright: ignore[reportArgumentType]
pussycache.forget(users.get_user, "one")  # pyright: ignore[reportArgumentType]
slow("one")  # pyright: ignore[reportArgumentType]
Cached(ttl="one")  # pyright: ignore[reportArgumentType]
Cached(guard="one")  # pyright: ignore[reportArgumentType]
Cached(stale_for="one")  # pyright: ignore[reportArgumentType]
Cached(errors={"one": 5})  # pyright: ignore[reportArgumentType]


# Instruments: a callable among the calls is checked against the object.

assert_type(
    assert_coherent(
        Users,
        cached_methods=["get_user"],
        invalidate_methods={"rename": [Forget("get_user", "user_id")]},
        calls=[("get_user", 7), "fetch", lambda users: users.rename(7, "eve")],
    ),
    Tried,
)
report = audit(Users, ["get_user"], calls=[lambda users: users.get_user(7)], ignore=["hits"])
assert_type(report, Report)
assert_type(report["get_user"].reads, frozenset[str])


# The advisor: what is observed keeps its type.

observed = pussycache.observe(Users())
assert_type(observed, Users)
observed.get_user("one")  # pyright: ignore[reportArgumentType]
advice = pussycache.advise(observed)
assert_type(advice["get_user"].hit_ratio(entries=1000, ttl=None), float)
assert_type(advice["get_user"].wrong_ratio(ttl=60), float | None)
assert_type(advice.to_json() + advice.to_html() + str(advice), str)

# The page.

assert_type(pussycache.web.app(users, pussycache.MemoryCache(), token="token"), Starlette)
pussycache.web.app(users, token=7)  # pyright: ignore[reportArgumentType]
