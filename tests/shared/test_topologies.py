"""The promise over a cluster, and across a failover."""

from collections.abc import Iterator

import pytest
from servers import RunningCluster, RunningSentinels, eventually

import pussycache
from pussycache import Cached, Forget, ForgetTag, RedisCache


class Price:
    def __init__(self, amounts: dict[str, int]) -> None:
        self.amounts = amounts
        self.loads = 0

    def __cache_identity__(self) -> str:
        return "prices"

    def get(self, name: str) -> int:
        self.loads += 1
        return self.amounts[name]

    def tagged(self, name: str) -> int:
        self.loads += 1
        return self.amounts[name]

    def set(self, name: str, amount: int) -> None:
        self.amounts[name] = amount

    def set_all(self, amount: int) -> None:
        for name in self.amounts:
            self.amounts[name] = amount

    def set_tagged(self, name: str, amount: int) -> None:
        self.amounts[name] = amount


def process(url: str, amounts: dict[str, int], **settings: object) -> Price:
    return pussycache.wrap(
        Price(amounts),
        RedisCache(url=url, **settings),
        cached_methods={"get": Cached(), "tagged": Cached(tags=["price:{name}"])},
        invalidate_methods={
            "set": [Forget("get", "name")],
            "set_all": ["get"],
            "set_tagged": [ForgetTag("price:{name}")],
        },
    )


@pytest.fixture
def two(cluster: RunningCluster) -> Iterator[tuple[Price, Price]]:
    """Two processes over a cluster."""
    amounts = {f"article {i}": 1 for i in range(40)}
    made = process(cluster.url, amounts), process(cluster.url, amounts)
    yield made
    made[0]._cache.clear()
    for one in made:
        one._cache.close()


def test_a_cluster_keeps_the_promise(two: tuple[Price, Price]) -> None:
    """Calls are spread over the nodes; writes of a value, of all and of a tag reach them all."""
    one, other = two
    names = list(one.amounts)
    for name in names:
        assert (one.get(name), other.get(name), other.tagged(name), one.tagged(name)) == (1,) * 4
    assert (one._proxied.loads, other._proxied.loads) == (40, 40)
    one.set(names[3], 2)
    assert (other.get(names[3]), other.get(names[4])) == (2, 1)
    one.set_tagged(names[5], 3)
    assert (other.tagged(names[5]), other.tagged(names[6])) == (3, 1)
    one.set_all(4)
    assert [other.get(name) for name in names] == [4] * 40
    assert [one.get(name) for name in names] == [4] * 40


def test_clear_reaches_all_nodes(two: tuple[Price, Price], cluster: RunningCluster) -> None:
    """Nothing of the cache is left on any node."""
    one, _ = two
    for name in one.amounts:
        one.get(name)
    one._cache.set_many({f"key {i}": i for i in range(40)})
    assert one._cache.get_many(["key 1", "key 2"]) == {"key 1": 1, "key 2": 2}
    one._cache.clear()
    for node in cluster.nodes:
        # The rules of writers lapse by themselves: one may be at work.
        assert not [key for key in node.do("KEYS", "*") if b":r:" not in key]


def test_a_promoted_replica_brings_no_tag_back(
    two: tuple[Price, Price], cluster: RunningCluster
) -> None:
    """A node that has not heard that tags were forgotten makes no entry good on the other nodes."""
    one, other = two
    for name in one.amounts:
        one.tagged(name)
    epoch = b"pussycache:g:{tags}:epoch"
    before = cluster.owner(epoch)
    with before.client() as client:
        had = {key: client.get(key) for key in client.keys("*{tags}:*")}
    for name in one.amounts:
        one.set_tagged(name, 2)
    with before.client() as client:
        (_, _, ((_, port, _),)) = client.execute_command("ROLE")
    replica = next(node for node in cluster.nodes if node.port == int(port))
    cluster.take_over(replica, lambda: cluster.owner(epoch) is replica)
    with replica.client() as client:
        client.mset({key: value for key, value in had.items() if value[:1] == b"T"})
    assert had
    assert {other.tagged(name) for name in one.amounts} == {2}


def test_a_promoted_replica_brings_nothing_back(sentinels: RunningSentinels) -> None:
    """A new primary that has not heard of a write, and still has what was before: it is not served.

    How far a replica is behind is nothing that a test can choose; so it is given what it had.
    """
    amounts = {"tea": 1}
    one, other = process(sentinels.url, amounts), process(sentinels.url, amounts)
    assert (one.get("tea"), other.get("tea"), other._proxied.loads) == (1, 1, 0)
    before = sentinels.primary()
    with before.client() as client:
        had = {key: client.get(key) for key in client.keys("*")}
    one.set("tea", 2)
    before.kill()
    sentinels.await_another(before)
    with sentinels.primary().client() as client:
        client.flushall()
        client.mset(had)

    def is_reached() -> bool:
        hits = pussycache.info(one.get).hits
        one.get("tea")
        return pussycache.info(one.get).hits > hits

    eventually(is_reached, "hits from the new primary")
    assert had
    assert (one.get("tea"), other.get("tea")) == (2, 2)
    for proxy in (one, other):
        proxy._cache.close()


def test_a_write_that_a_replica_has_heard_of(sentinels: RunningSentinels) -> None:
    """With durability="replicated" and a replica, a write is told, and survives its primary."""
    amounts = {"tea": 1}
    one = process(sentinels.url, amounts, durability="replicated")
    before = sentinels.primary()
    (replica,) = [server for server in sentinels.servers if server is not before]
    if replica.process is None:
        replica.start()

    def is_told() -> bool:
        one.set("tea", 2)
        return one._cache.pending == 0

    eventually(is_told, "a write that the replica has heard of")
    assert one.get("tea") == 2
    one._cache.close()


def test_a_load_that_ends_while_a_tag_is_being_forgotten(
    cluster: RunningCluster, spawn, new_gate
) -> None:
    """In a cluster a write ends key by key, and nothing is stored in between that began before."""
    loading, ending = new_gate(), new_gate()
    amounts = {"tea": 1}
    one, other = process(cluster.url, amounts), process(cluster.url, amounts)

    class Slow(dict[str, int]):
        def __getitem__(self, name: str) -> int:
            amount = super().__getitem__(name)
            loading.hold()
            return amount

    tier = other._cache._tier
    ask = tier.ask

    def held(key: bytes, *what: object) -> object:
        if key.endswith(b"epoch"):
            ending.hold()
        return ask(key, *what)

    try:
        one._proxied.amounts = Slow(amounts)
        slow = spawn(one.tagged, "tea")
        loading.reached()
        tier.ask = held
        write = spawn(other.set_tagged, "tea", 2)
        ending.reached()
        loading.open()
        assert slow.result() == 1
        ending.open()
        write.wait()
        assert other.tagged("tea") == 2
    finally:
        one._cache.clear()
        for made in (one, other):
            made._cache.close()
