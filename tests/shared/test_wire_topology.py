"""Sentinels and clusters: the right server is asked, also when it has just become another."""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from servers import PATIENCE, RunningCluster, RunningSentinels, eventually

from pussycache.cache.wire import Address, Server, Unreachable

KEYS = [b"{%d}k" % i for i in range(20)]


@pytest.fixture(params=["threads", "tasks"])
def ask(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Asks several things in a thread, or in a task of a loop that lives on."""
    if request.param == "threads":
        yield lambda server, *args, **options: server.ask(*args, **options)
        return
    with asyncio.Runner() as runner:

        def ask(server: Server, *args: Any, **options: Any) -> Any:
            return runner.run(server.aask(*args, **options))

        yield ask


@pytest.fixture
def clustered(cluster: RunningCluster) -> Iterator[Server]:
    server = Server(Address.parse(cluster.url))
    yield server
    server.close()


@pytest.fixture
def watched(sentinels: RunningSentinels) -> Iterator[Server]:
    server = Server(Address.parse(sentinels.url))
    yield server
    server.close()


def test_every_key_has_its_server(ask: Callable[..., Any], clustered: Server) -> None:
    """In a cluster each key is asked of its own primary, and the primaries are all known."""
    for key in KEYS:
        replies, facts = ask(clustered, key, [(b"SET", key, key), (b"GET", key)])
        assert replies == [b"OK", key]
        assert facts.role == "master"
    assert len({clustered._find(key) for key in KEYS}) == 3
    nodes = clustered.nodes()
    assert len(nodes) == 3
    found = [clustered.ask_node(node, [(b"DBSIZE",)])[0][0] for node in nodes]
    assert sum(found) >= len(KEYS)


def test_error_in_a_cluster(ask: Callable[..., Any], clustered: Server) -> None:
    """A command that failed for its own reasons stands in its place and is not sent elsewhere."""
    key = KEYS[0]
    replies, _ = ask(clustered, key, [(b"SET", key, b"v"), (b"INCR", key), (b"GET", key)])
    assert (replies[0], replies[2]) == (b"OK", b"v")
    assert "not an integer" in str(replies[1])


def test_moved(ask: Callable[..., Any], clustered: Server, cluster: RunningCluster) -> None:
    """A key that has moved is found at its new place, where it is asked from then on."""
    key = b"{moved}"
    ask(clustered, key, [(b"SET", key, b"v")])
    before = clustered._find(key)
    cluster.migrate(key)
    assert ask(clustered, key, [(b"GET", key), (b"INCR", b"{moved}n")])[0] in ([b"v", 1], [b"v", 2])
    after = clustered._find(key)
    assert after is not before
    assert after is not None
    assert after.place.port == cluster.owner(key).port


def test_moving(ask: Callable[..., Any], clustered: Server, cluster: RunningCluster) -> None:
    """While a slot is on its way its keys are asked for where they are, each command once."""
    key, counter = b"{moving}", b"{moving}n"
    ask(clustered, key, [(b"SET", key, b"v"), (b"SET", counter, 0)])
    source = cluster.owner(key)
    home = clustered._find(key)
    target = cluster.migrate(key, finish=False)
    replies, _ = ask(clustered, key, [(b"GET", key), (b"INCR", counter), (b"GET", counter)])
    assert replies == [b"v", 1, b"1"]
    assert clustered._find(key) is home
    cluster.finish(key, source, target)


def test_half_moved(ask: Callable[..., Any], clustered: Server, cluster: RunningCluster) -> None:
    """Replies that come from two servers go with a replication id that neither of them has."""
    here, there = b"{half}here", b"{half}there"
    ask(clustered, here, [(b"SET", here, 1), (b"SET", there, 2)])
    source = cluster.owner(here)
    target = cluster.migrate(here, finish=False, only=there)
    replies, facts = ask(clustered, here, [(b"GET", here), (b"GET", there), (b"INCR", here)])
    assert replies == [b"1", b"2", 2]
    ids = [node.do("INFO")["master_replid"].encode() for node in (source, target)]
    assert facts.replication_id not in [None, *ids]
    with pytest.raises(Unreachable, match="moving"):
        ask(clustered, here, [(b"MGET", here, there)])
    source.do("MIGRATE", "127.0.0.1", target.port, here, 0, 5000)
    cluster.finish(here, source, target)
    assert ask(clustered, here, [(b"MGET", here, there)])[0] == [[b"2", b"2"]]


def test_cluster_fails_over(
    ask: Callable[..., Any], clustered: Server, cluster: RunningCluster
) -> None:
    """After a failover the new primary is asked, and its replication id is another."""
    key = b"{failover}"
    _, before = ask(clustered, key, [(b"SET", key, b"v"), (b"WAIT", 1, 10_000)])
    cluster.fail_over(key)
    # Where that took long, a connection to the old primary is found to be one, and ends.
    replies, after = ask(clustered, key, [(b"GET", key)], repeatable=True)
    assert replies == [b"v"]
    assert after.replication_id != before.replication_id


def test_primary_of_a_cluster_dies(
    ask: Callable[..., Any], clustered: Server, cluster: RunningCluster
) -> None:
    """A primary that dies is an outage for its keys alone, until its replica has taken over."""
    key = b"{dies}"
    ask(clustered, key, [(b"SET", key, b"v"), (b"WAIT", 1, 10_000)])
    owner = cluster.owner(key)
    other = next(k for k in KEYS if cluster.owner(k) is not owner)
    owner.kill()
    cluster.expect_deaths()
    try:
        assert ask(clustered, other, [(b"PING",)])[0] == [b"PONG"]

        def is_back() -> bool:
            try:
                return ask(clustered, key, [(b"GET", key)], repeatable=True)[0] == [b"v"]
            except Unreachable:
                return False

        eventually(is_back, "a replica that has taken over")
    finally:
        owner.start()
        eventually(lambda: owner.do("ROLE")[0] == b"slave", "a replica")  # type: ignore[index]
        eventually(lambda: all(map(cluster._is_ready, cluster.nodes)), "a whole cluster")
        cluster.expect_deaths(False)


def test_no_cluster(ask: Callable[..., Any]) -> None:
    """A cluster none of whose nodes answer is an outage."""
    server = Server(Address.parse("redis+cluster://127.0.0.1:1,127.0.0.1:2"))
    with pytest.raises(Unreachable, match="unknown"):
        ask(server, b"k", [(b"PING",)])
    server.close()


def test_sentinels_name_the_primary(
    ask: Callable[..., Any], watched: Server, sentinels: RunningSentinels
) -> None:
    """The sentinels are asked for the primary, and one of them is enough."""
    paused, killed = sentinels.sentinels[:2]
    killed.kill()
    try:
        assert ask(watched, None, [(b"SET", b"k", b"v")])[0] == [b"OK"]
        (node,) = watched.nodes()
        assert node.place.port == sentinels.primary_of(paused).port
    finally:
        killed.start()
    eventually(sentinels._is_ready, "three sentinels")


def test_sentinels_fail_over(ask: Callable[..., Any], changing_sentinels: RunningSentinels) -> None:
    """A second after a failover the new primary is asked, though the old one knows nothing yet."""
    now = [0.0]
    server = Server(Address.parse(changing_sentinels.url), clock=lambda: now[0])
    _, before = ask(server, None, [(b"SET", b"k", b"v"), (b"WAIT", 1, 10_000)])
    old = changing_sentinels.primary()
    changing_sentinels.fail_over()
    now[0] = 1.1
    # To look which one it is takes no turn away.
    known = server.node_of(b"k")
    assert known is not None
    assert known.place.port == old.port
    replies, after = ask(server, None, [(b"SET", b"j", b"w"), (b"GET", b"k")], repeatable=True)
    assert replies == [b"OK", b"v"]
    assert after.replication_id != before.replication_id
    (node,) = server.nodes()
    assert node.place.port == changing_sentinels.primary().port
    server.close()


def test_primary_of_sentinels_dies(
    ask: Callable[..., Any], changing_sentinels: RunningSentinels
) -> None:
    """A primary that hangs is an outage until the sentinels have promoted its replica."""
    server = Server(Address.parse(changing_sentinels.url), timeout=2)
    before = changing_sentinels.primary()
    # The replica has it, and the server is known.
    before.do("SET", "k", "v")
    assert before.do("WAIT", 1, 10_000) == 1

    def is_known() -> bool:
        with suppress(Unreachable):
            return ask(server, None, [(b"GET", b"k")], repeatable=True)[0] == [b"v"]
        return False

    eventually(is_known, "a server that answers")
    before.pause()
    with pytest.raises(Unreachable, match="timed out"):
        ask(server, None, [(b"SET", b"k", b"w")])
    changing_sentinels.await_another(before)
    eventually(is_known, "a replica that was promoted")
    server.close()


def test_sentinels_die(
    ask: Callable[..., Any], watched: Server, sentinels: RunningSentinels
) -> None:
    """Without sentinels the primary that is known goes on being asked."""
    now = [0.0]
    server = Server(Address.parse(sentinels.url), clock=lambda: now[0])
    ask(server, None, [(b"SET", b"k", b"v")])
    for sentinel in sentinels.sentinels:
        sentinel.kill()
    try:
        now[0] = 2
        assert ask(server, None, [(b"GET", b"k")])[0] == [b"v"]
    finally:
        for sentinel in sentinels.sentinels:
            sentinel.start()
        eventually(sentinels._is_ready, "three sentinels")
    server.close()


def test_who_asks_the_sentinels_is_cancelled(changing_sentinels: RunningSentinels) -> None:
    """Who asks the sentinels asks for all: they are asked to the end, also if he is cancelled."""
    server = Server(Address.parse(changing_sentinels.url), timeout=3)
    topology: Any = server._topology

    async def main() -> None:
        await server.aask_one(None, b"PING", repeatable=True)
        hung = topology._sentinels[0].place.port
        (sentinel,) = (s for s in changing_sentinels.sentinels if s.port == hung)
        with sentinel.paused():
            # It is asked first, again.
            topology.good_until = -math.inf
            asking = asyncio.create_task(server.aask_one(None, b"PING"))
            await asyncio.sleep(0)
            assert topology.good_until > -math.inf
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            async with asyncio.timeout(PATIENCE):
                while topology._sentinels[0].place.port == hung:
                    await asyncio.sleep(0.01)
        await server.aclose()

    asyncio.run(main())


def test_unknown_service(ask: Callable[..., Any], sentinels: RunningSentinels) -> None:
    """A name that the sentinels do not know is an outage that says so."""
    server = Server(Address.parse(sentinels.url.replace("/pussycache/", "/nobody/")))
    with pytest.raises(Unreachable, match="no sentinel knows a primary 'nobody'"):
        ask(server, None, [(b"PING",)])
    server.close()
