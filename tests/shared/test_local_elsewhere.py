"""The local tier where the server is another one: a cluster's nodes, a promoted replica, a fork."""

import math
import os
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from local_tier import Processes, Users, kept, wrapped
from patience import alert
from servers import PATIENCE, RunningCluster, RunningSentinels, RunningServer, eventually

from pussycache import MemoryCache


class TestCluster:
    """In a cluster each node says what changes on it."""

    @pytest.fixture
    def processes(self, cluster: RunningCluster) -> Iterator[Processes]:
        made = Processes(cluster.nodes[0], cluster.url)
        yield made
        made.close()

    @pytest.mark.parametrize("mode", ["poll", "listener", "strict"])
    def test_all_nodes(self, processes: Processes, mode: str) -> None:
        """Calls whose entries lie on different nodes are kept, and dropped when they are wrong."""
        cache = processes.cache(local=MemoryCache(), coherence=mode)
        users, other = wrapped(cache), processes.other()
        ids = range(100, 130)
        for user_id in [*ids, *ids]:
            users.get(user_id)
        if mode != "strict":
            assert len(cache._nearby.links._links) == 3  # type: ignore[union-attr]
        # The making of a generation is heard of, too, it may be after something was kept.
        eventually(
            lambda: [users.get(i) for i in ids] and len(kept(users)) == len(ids), "all were kept"
        )
        for user_id in ids:
            other.set(user_id, user_id)
        for user_id in ids:
            if mode == "listener":
                eventually(lambda i=user_id: users.get(i) == i, "the listener heard of it")
            assert users.get(user_id) == user_id
        users.get(100)
        Users.truth.values = dict.fromkeys(ids, 7)
        other.set_all(7)
        if mode == "listener":
            eventually(lambda: all(users.get(i) == 7 for i in ids), "the listener heard of it")
        assert [users.get(user_id) for user_id in ids] == [7] * len(ids)

    def test_slots_move(self, processes: Processes, cluster: RunningCluster) -> None:
        """When a slot has moved to another node, what was kept of it is dropped."""
        users, other = processes.local(), processes.other()
        for _ in range(3):
            users.get(5)
        reading = users._pussycache_about.scope.table("get").places  # type: ignore[attr-defined]
        for bucket in reading.buckets:
            cluster.migrate(bucket.generation)
        other.set(5, 1)
        assert users.get(5) == 1
        users.get(5)
        other.set(5, 2)
        assert users.get(5) == 2


class TestFailover:
    """With sentinels another server takes over."""

    def test_promoted(self, sentinels: RunningSentinels) -> None:
        """What was kept before another server took over is not served after a write there."""
        processes = Processes(sentinels.primary(), sentinels.url)
        try:
            users = wrapped(alert(processes.cache(local=MemoryCache())))
            other = processes.other()
            for _ in range(3):
                users.get(1)
            assert kept(users)
            sentinels.fail_over()
            other.set(1, 9)
            eventually(lambda: other._cache.pending == 0, "the new primary was told")  # type: ignore[attr-defined]
            eventually(lambda: users.get(1) == 9, "the link was lost")
            for _ in range(3):
                assert users.get(1) == 9
            other.set(1, 10)
            assert users.get(1) == 10
        finally:
            processes.close()

    @pytest.mark.parametrize("mode", ["poll", "listener", "strict"])
    def test_nobody_tells_the_old_one(
        self, changing_sentinels: RunningSentinels, mode: str
    ) -> None:
        """Who only reads hears of another primary while the old one lives and does not know."""
        sentinels, old = changing_sentinels, changing_sentinels.primary()
        processes = Processes(old, sentinels.url)
        try:
            cache = processes.cache(None, local=MemoryCache(), coherence=mode)
            # Who polls looks again whenever too much time has passed between two calls.
            users = wrapped(alert(cache) if mode == "listener" else cache)
            other = processes.other()
            for _ in range(3):
                users.get(1)
            assert kept(users)
            # For the old one it goes on as if nothing had happened.
            old.do("ACL", "SETUSER", "default", "-replicaof", "-slaveof")
            sentinels.fail_over()
            other.set(1, 9)
            eventually(lambda: other._cache.pending == 0, "the new primary was told")  # type: ignore[attr-defined]
            eventually(lambda: users.get(1) == 9, "the sentinels were asked")
            assert old.do("ROLE")[0] == b"master"  # type: ignore[index]
            eventually(lambda: users.get(1) == 9 and kept(users), "it was kept again")
            other.set(1, 10)
            eventually(lambda: users.get(1) == 10, "the new primary said so")
        finally:
            processes.close()

    def test_no_sentinel_answers(self, changing_sentinels: RunningSentinels) -> None:
        """Where no sentinel answers, the primary that is known goes on, and what is kept of it."""
        processes = Processes(changing_sentinels.primary(), changing_sentinels.url)
        try:
            users = processes.local()
            other = processes.other()
            for _ in range(3):
                users.get(1)
                other.get(2)
            for sentinel in changing_sentinels.sentinels:
                sentinel.kill()
            links = users._cache._nearby.links  # type: ignore[attr-defined]
            links._server._topology.good_until = links.watch.until = -math.inf
            assert not links.quiet()
            users.get(1)
            assert links.quiet()
            assert kept(users)
            other.set(1, 9)
            assert users.get(1) == 9
        finally:
            processes.close()

    def test_nobody_can_ask(
        self, sentinels: RunningSentinels, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is kept is dropped when the thread that asks the sentinels cannot."""
        processes = Processes(sentinels.primary(), sentinels.url)
        try:
            cache = alert(processes.cache(None, local=MemoryCache(), coherence="listener"))
            users = wrapped(cache)
            for _ in range(3):
                value = users.get(1)
            links = cache._nearby.links  # type: ignore[union-attr]
            assert kept(users)

            def out_of_memory() -> None:
                raise MemoryError

            with monkeypatch.context() as patched:
                patched.setattr(links._server, "confirm", out_of_memory)
                eventually(lambda: not kept(users), "it was dropped")
            eventually(lambda: users.get(1) == value and kept(users), "it was kept again")
            assert links._confirming.is_alive()
        finally:
            processes.close()


def test_connecting_does_not_wait_for_who_waits(running: RunningServer) -> None:
    """Who holds the memory's lock does not wait for a link, whose making may wait for that."""
    processes = Processes(running)
    try:
        users = processes.local()
        users.get(1)
        near = users._cache._nearby  # type: ignore[attr-defined]
        # As when a server is lost: nobody listens, and somebody drops what was kept.
        near.links.drop()
        has_links, has_both = threading.Event(), threading.Event()

        def drop() -> None:
            with near.links._lock:
                has_links.set()
                if near.home.lock.acquire(timeout=PATIENCE):
                    near.home.lock.release()
                    has_both.set()

        with near.home.lock:
            dropping = threading.Thread(target=drop)
            dropping.start()
            assert has_links.wait(PATIENCE)
            # As a finalizer would that runs there.
            users.get(1)
            assert not has_both.is_set()
        assert has_both.wait(PATIENCE)
        dropping.join()
    finally:
        processes.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("mode", ["poll", "listener", "strict"])
def test_fork(running: RunningServer, mode: str) -> None:
    """A forked child keeps its own entries and listens for itself; the parent's go on as before."""
    processes = Processes(running)
    try:
        users, other = processes.local(mode), processes.other()
        users.get(1)
        users.get(1)
        with warnings.catch_warnings():
            # That there are threads, which is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                Users.truth.values[1] = 9
                other.set(1, 9)
                seen = [users.get(1) for _ in range(3)]
                other.set(1, 10)
                eventually(lambda: users.get(1) == 10, "the child heard of it")
                code = 0 if seen[-1] == 9 else 2
            except BaseException as error:
                print(error, file=sys.stderr)
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        Users.truth.values[1] = 10
        eventually(lambda: users.get(1) == 10, "the parent heard of it")
        users.get(1)
        other.set(1, 11)
        eventually(lambda: users.get(1) == 11, "the parent heard of it")
        assert users.get(1) == 11
    finally:
        processes.close()
