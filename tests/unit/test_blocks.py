"""`writing`: a block of one's own code that counts as a write."""

import asyncio
import threading
from typing import Any

import pytest

import pussycache
from pussycache import ConfigurationError, Forget

PATIENCE = 60


class Users:
    def __init__(self) -> None:
        self.names = {1: "ada", 2: "bob"}

    def get(self, user_id: int) -> str:
        return self.names[user_id]

    def rename(self, user_id: int, name: str) -> None:
        self.names[user_id] = name


@pytest.fixture
def users() -> Any:
    return pussycache.wrap(
        Users(),
        cached_methods=["get"],
        invalidate_methods={"rename": [Forget("get", "user_id")]},
    )


def remembered(users: Any) -> list[int]:
    return [i for i in (1, 2) if pussycache.peek(users.get, i) is not pussycache.MISSING]


def test_async_with_is_a_write(users: Any) -> None:
    """A block in a coroutine makes wrong what the write would, and nothing is stored meanwhile."""

    async def main() -> None:
        users.get(1), users.get(2)
        async with pussycache.writing(users.rename, 1):
            assert users.get(1) == "ada"
            assert remembered(users) == [2]
            users.names[1] = "grace"
        assert users.get(1) == "grace"
        assert remembered(users) == [1, 2]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["with", "async with"])
def test_an_exception_counts_and_goes_on(users: Any, kind: str) -> None:
    """A block that raises counts as a write, and what it raises is not kept from the caller."""
    users.get(1)

    def raising() -> None:
        with pussycache.writing(users.rename):
            raise KeyError(1)

    async def main() -> None:
        async with pussycache.writing(users.rename):
            raise KeyError(1)

    with pytest.raises(KeyError):
        asyncio.run(main()) if kind == "async with" else raising()
    assert remembered(users) == []


def test_a_block_can_be_entered_again_and_not_twice(users: Any) -> None:
    """When a block has been left it can be entered again; who does before is told, at no harm."""
    block = pussycache.writing(users.rename, user_id=1)
    for name in ("eve", "joan"):
        with block:
            users.names[1] = name
            with pytest.raises(ConfigurationError, match="call writing for each block"):
                block.__enter__()
            assert remembered(users) == []
        assert users.get(1) == name


def test_a_decorator_makes_each_call_a_write(users: Any) -> None:
    """A function that is decorated with it writes whenever it is called, also in two threads."""
    both = threading.Barrier(2, timeout=PATIENCE)

    @pussycache.writing(users.rename, user_id=1)
    def import_all() -> None:
        both.wait()
        users.names[1] += "!"

    users.get(1)
    other = threading.Thread(target=import_all)
    other.start()
    import_all()
    other.join()
    assert users.get(1) == "ada!!"
    assert remembered(users) == [1]


def test_a_block_that_cannot_begin_can_be_tried_again(
    users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it cannot begin, it has not been entered."""
    block = pussycache.writing(users.rename, user_id=1)

    def refuse(write: object, inside: bool = False) -> None:
        raise pussycache.BackendUnavailable

    async def main() -> None:
        async with block:
            pass

    with monkeypatch.context() as patched:
        for name in ("begin", "abegin"):
            patched.setattr(f"pussycache.engine.writes.Write.{name}", refuse)
        with pytest.raises(pussycache.BackendUnavailable), block:
            pass
        with pytest.raises(pussycache.BackendUnavailable):
            asyncio.run(main())
    with block:
        pass


def test_what_is_no_write_is_refused_at_once(users: Any) -> None:
    """A method that writes nothing, and arguments that it does not have, are refused at once."""
    with pytest.raises(ConfigurationError, match=r"takes an invalidating method, not .*get"):
        pussycache.writing(users.get, 1)
    with pytest.raises(TypeError, match=r"writing\(rename\): .*'id'"):
        pussycache.writing(users.rename, id=1)
