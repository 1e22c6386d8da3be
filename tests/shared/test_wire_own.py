"""A redis-py client of the user's own in the place of a URL."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
import redis.asyncio
from patience import BRIEF
from servers import RunningCluster, RunningServer, eventually

from pussycache import ConfigurationError
from pussycache.cache.wire import Script, Server, Unreachable


class Hand:
    """A clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


COMMANDS = [
    (b"SET", b"k", b"\xff\x00"),
    (b"GET", b"k"),
    (b"INCR", b"k"),
    (b"EXISTS", b"k"),
    (b"GET", b"other"),
    (b"MGET", b"k", b"other"),
]


def check(replies: list[Any]) -> None:
    assert replies[:2] + replies[3:] == [b"OK", b"\xff\x00", 1, None, [b"\xff\x00", None]]
    assert isinstance(replies[2], redis.ResponseError)


@pytest.fixture(params=[{}, {"decode_responses": True}, {"protocol": 3}], ids=str)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture
def client(options: dict[str, Any], running: RunningServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=running.port, retry=None, **options) as client:
        yield client


def test_client(client: redis.Redis, running: RunningServer) -> None:
    """Replies over a client are bytes as they are over a URL, whatever the client's settings."""
    server = Server.over(client)
    replies, facts = server.ask(b"k", COMMANDS)
    check(replies)
    assert facts.replication_id == running.do("INFO")["master_replid"].encode()
    assert server.ask_one(b"k", b"GET", b"k")[0] == b"\xff\x00"
    with pytest.raises(redis.ResponseError, match=r"not an integer"):
        server.ask_one(b"k", b"INCR", b"k")
    check(asyncio.run(server.aask(b"k", COMMANDS))[0])
    script = Script("return ARGV[1]")
    running.do("SCRIPT", "FLUSH")
    assert server.ask(b"k", [script.call([b"k"], b"x"), (b"PING",)])[0] == [b"x", b"PONG"]
    server.close()
    assert client.ping()


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}], ids=str)
def test_async_client(running: RunningServer, options: dict[str, Any]) -> None:
    """An asyncio client serves tasks; calls that are not async are told what to give instead."""

    async def main() -> None:
        async with redis.asyncio.Redis(port=running.port, **options) as client:
            server = Server.over(client)
            replies, facts = await server.aask(b"k", COMMANDS)
            check(replies)
            assert facts.replication_id is not None
            many = await asyncio.gather(*[server.aask_one(None, b"ECHO", i) for i in range(50)])
            assert [reply for reply, _ in many] == [b"%d" % i for i in range(50)]
            with pytest.raises(ConfigurationError, match=r"^client is a redis.asyncio.Redis"):
                server.ask(None, [(b"PING",)])
            await server.aclose()
            assert await client.ping()

    asyncio.run(main())


def test_cancelled_caller(running: RunningServer) -> None:
    """A task that is cancelled half-way leaves no reply behind for the next."""

    async def main() -> None:
        async with redis.asyncio.Redis(port=running.port, max_connections=1) as client:
            server = Server.over(client)
            await server.aask_one(None, b"PING")
            with running.paused():
                task = asyncio.ensure_future(server.aask_one(None, b"ECHO", b"lost"))
                for _ in range(10):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            assert (await server.aask_one(None, b"ECHO", b"next"))[0] == b"next"

    asyncio.run(main())


def test_new_connection_has_new_facts(client: redis.Redis, running: RunningServer) -> None:
    """The replication id is that of the connection, also after the client has connected anew."""
    server = Server.over(client)
    before = server.describe().replication_id
    running.restart()
    assert server.describe().replication_id not in (None, before)
    server.close()


def test_hung(options: dict[str, Any], running: RunningServer) -> None:
    """A hung server is noticed by the client's own timeout, and then asked twice a second."""
    clock = Hand()
    with (
        redis.Redis(port=running.port, socket_timeout=BRIEF, retry=None, **options) as client,
        running.paused(),
    ):
        server = Server.over(client, clock=clock)
        with pytest.raises(Unreachable, match=r"timed out"):
            server.ask_one(None, b"PING")
        with pytest.raises(Unreachable, match=r"waiting"):
            server.ask_one(None, b"PING")
        clock.now = 0.6
        with pytest.raises(Unreachable, match=r"timed out"):
            server.ask_one(None, b"PING")
        running.resume()

        def is_back() -> bool:
            clock.now += 0.6
            with suppress(Unreachable):
                return server.ask_one(None, b"PING")[0] == b"PONG"
            return False

        eventually(is_back, "a server that is asked again")


def test_killed(client: redis.Redis, running: RunningServer) -> None:
    """A server that was killed is an outage, and is found when it is back."""
    clock = Hand()
    server = Server.over(client, clock=clock)
    server.describe()
    running.kill()
    with pytest.raises(Unreachable, match=r"closed|refused"):
        server.ask_one(None, b"PING")
    running.start()
    clock.now = 2
    assert server.ask_one(None, b"PING")[0] == b"PONG"


def test_cluster_client(cluster: RunningCluster) -> None:
    """Behind a cluster client each key is asked of its own primary, also when it has moved."""
    client = redis.RedisCluster("127.0.0.1", cluster.nodes[0].port)
    server = Server.over(client)
    keys = [b"{%d}own" % i for i in range(10)]
    for key in keys:
        assert server.ask(key, [(b"SET", key, key), (b"GET", key)])[0] == [b"OK", key]
    assert len({server._find(key) for key in keys}) == 3
    cluster.migrate(keys[0])
    assert server.ask(keys[0], [(b"GET", keys[0])])[0] == [keys[0]]
    cluster.fail_over(keys[0])
    assert server.ask(keys[0], [(b"GET", keys[0])], repeatable=True)[0] == [keys[0]]
    server.close()
    client.close()


def test_other_clients() -> None:
    """Anything else is refused, with what can be given."""
    with pytest.raises(ConfigurationError, match=r"^client is dict; give a redis.Redis"):
        Server.over({})
    cluster = redis.asyncio.RedisCluster("127.0.0.1", 1)
    with pytest.raises(ConfigurationError, match=r"^client is a redis.asyncio.RedisCluster.*url"):
        Server.over(cluster)


def test_no_dedicated_connections(client: redis.Redis) -> None:
    """What needs a connection of its own needs a URL."""
    server = Server.over(client)
    (node,) = server.nodes()
    with pytest.raises(ConfigurationError, match=r"^local needs a connection of its own.*url"):
        server.listen(node, [b"g"], lambda _: None)
    with pytest.raises(Unreachable):
        server.waking(b"c", lambda _: None).start()
