"""The local tier of a shared store: what is kept in this process, and what makes it wrong."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from local_tier import MODES, Processes, Users, Writer, asked, kept, kill_links, link_of, wrapped
from patience import BRIEF, alert
from servers import RunningServer, eventually

import pussycache
from pussycache import Cached, ConfigurationError, MemoryCache
from pussycache.cache.redis import RedisCache
from pussycache.cache.shared.nearby import LocalTable
from pussycache.cache.shared.scripts import END, START
from pussycache.testing import FakeClock


@pytest.fixture
def processes(running: RunningServer) -> Iterator[Processes]:
    made = Processes(running)
    yield made
    made.close()


modes = pytest.mark.parametrize("mode", MODES)


def comes_to(proxy: Users, user_id: object, value: object, mode: str) -> None:
    """See that an old value is not served: at once, but with a listener when it has listened."""
    if mode == "listener":
        eventually(lambda: proxy.get(user_id) == value, "the listener heard of it")
    assert proxy.get(user_id) == value


def settled(server: RunningServer, proxy: Users, user_id: object) -> Users:
    """See that a value is kept, and return the proxy.

    The making of a generation is heard of, too, and may be a moment later than the value is kept.
    """

    def asks_nobody() -> bool:
        before = asked(server)
        proxy.get(user_id)
        return asked(server) == before

    eventually(asks_nobody, "the value was kept")
    return proxy


class TestHits:
    """What is served from this process."""

    @pytest.mark.parametrize("mode", ["poll", "listener"])
    def test_asks_nobody(self, processes: Processes, mode: str) -> None:
        """The second hit in a process is answered without asking the server."""
        # The making of a generation is heard of: here it is made before anybody listens.
        processes.other().get(1)
        one, two = processes.local(mode), processes.local(mode)
        settled(processes.server, one, 1)
        settled(processes.server, two, 1)
        before = asked(processes.server)
        assert [one.get(1), two.get(1)] == [0, 0]
        assert asked(processes.server) == before
        assert Users.truth.loads == [1]

    def test_strict_asks_for_no_value(self, processes: Processes) -> None:
        """A strict hit costs a round trip that does not carry the value, and decodes nothing."""
        users = processes.local("strict")
        Users.truth.values[1] = "x" * 100_000
        first = users.get(1)
        with processes.server.client() as client:
            before = client.info("stats")["total_net_output_bytes"]
            assert users.get(1) is first
            assert client.info("stats")["total_net_output_bytes"] - before < 20_000

    @modes
    def test_async(self, processes: Processes, mode: str) -> None:
        """Coroutine methods have the same local tier, and see the same writes."""
        users, other = processes.local(mode), processes.other()

        async def use() -> list[object]:
            seen = [await users.aget(1), await users.aget(1)]
            other.set(1, 5)
            while mode == "listener" and await users.aget(1) != 5:
                await asyncio.sleep(0)
            return [*seen, await users.aget(1)]

        assert asyncio.run(use()) == [0, 0, 5]
        assert Users.truth.loads == [1, 1]

    @modes
    def test_objects_are_shared(self, processes: Processes, mode: str) -> None:
        """All callers of one process are given the same object, and copies where they want them."""
        Users.truth.values[1] = [1, 2]
        users = processes.local(mode)
        if mode != "strict":
            settled(processes.server, users, 1)
        first = users.get(1)
        assert users.get(1) is first
        copied = processes.local(mode, copy="deep")
        mine = copied.get(1)
        mine.append("mine")
        copied.get(1).append("mine, too")
        assert copied.get(1) == [1, 2]

    @modes
    def test_guard(self, processes: Processes, mode: str) -> None:
        """A guarded value that somebody changed in place is not served, and a warning says so."""
        Users.truth.values[1] = [1, 2]
        users = processes.local(mode, guard=True)
        if mode != "strict":
            settled(processes.server, users, 1)
        assert users.get(1) is users.get(1)
        Users.truth.values[1] = [1, 2]
        users.get(1).append("mine")
        with pytest.warns(pussycache.MutatedValueWarning):
            assert users.get(1) == [1, 2]

    @modes
    def test_bounds(self, processes: Processes, mode: str) -> None:
        """What is kept is within the bounds of the MemoryCache that it is kept in."""
        local = MemoryCache(max_entries=10)
        users = wrapped(processes.cache(local=local, coherence=mode))
        for user_id in range(100):
            users.get(user_id)
        # The making of a generation is heard of, too, and may have dropped what was kept before.
        assert 5 <= len(local) <= 10
        local.clear()
        assert (len(local), len(kept(users))) == (0, 0)

    def test_statistics(self, processes: Processes) -> None:
        """Local hits are counted as hits, and what is kept in the process as entries."""
        users = processes.local()
        for _ in range(4):
            users.get(1)
        info = pussycache.info(users.get)
        assert (info.hits, info.misses, info.loads, info.entries) == (3, 1, 1, 1)

    @modes
    def test_any_arguments(self, processes: Processes, mode: str) -> None:
        """Calls with arguments that are no plain ones are kept and dropped as all others are."""
        users, other = processes.local(mode), processes.other()
        assert (users.get((1, "a")), users.get((1, "a"))) == (0, 0)
        assert len(kept(users)) == 1
        other.set((1, "a"), 7)
        comes_to(users, (1, "a"), 7, mode)

    def test_expires_with_the_shared_entry(self, processes: Processes) -> None:
        """What was read from the server is kept no longer than it is kept there."""
        users, other = processes.local(), processes.other()
        other.get(1)
        with processes.server.client() as client, FakeClock() as clock:
            (entry,) = [key for key in client.scan_iter() if b":e:" in key]
            client.pexpire(entry, 50_000)
            users.get(1)
            before = asked(processes.server)
            # Less than is left there, however long it took to read it.
            clock.advance(30)
            users.get(1)
            assert asked(processes.server) == before
            clock.advance(20)
            users.get(1)
            assert asked(processes.server) > before

    @pytest.mark.parametrize("ttl", [10, lambda result: 10])
    def test_old_values_are_the_servers_business(self, processes: Processes, ttl: Any) -> None:
        """With stale_for, a value is kept in the process only as long as it is fresh."""
        loading, reading = [processes.local(ttl=ttl, stale_for=100) for _ in range(2)]
        with FakeClock() as clock:
            for users in (loading, reading):
                settled(processes.server, users, 1)
            clock.advance(10)
            for users in (loading, reading):
                before = asked(processes.server)
                users.get(1)
                assert asked(processes.server) > before

    @modes
    def test_batches(self, processes: Processes, mode: str) -> None:
        """A call for many ids asks the server; one for a single id, with the same entries, is kept;
        both see what is written elsewhere."""

        class Many(Users):
            def get_many(self, ids: list[int]) -> dict[int, object]:
                return {one: self.get(one) for one in ids}

        cached = {"get": Cached(), "get_many": Cached(each="ids", item="get")}
        one, two = [
            pussycache.wrap(
                Many(),
                processes.cache(local=MemoryCache(), coherence=mode),
                cached_methods=cached,
                invalidate_methods={"set": [pussycache.Forget("get", user_id="user_id")]},
            )
            for _ in range(2)
        ]
        for _ in range(2):
            assert one.get_many([1, 2, 3]) == {1: 0, 2: 0, 3: 0}
            assert one.get(2) == 0
        assert Users.truth.loads == [1, 2, 3]
        two.set(2, 9)
        comes_to(one, 2, 9, mode)
        assert one.get_many([1, 2, 3]) == {1: 0, 2: 9, 3: 0}

    @modes
    def test_switched_off(self, processes: Processes, mode: str) -> None:
        """While caching is switched off, nothing is served from the process."""
        users = processes.local(mode)
        users.get(1)
        with pussycache.disabled():
            Users.truth.values[1] = 5
            assert users.get(1) == 5


class TestWritesElsewhere:
    """A write in another process."""

    @modes
    @pytest.mark.parametrize("write", ["set", "set_all"])
    def test_after_it_returned(self, processes: Processes, mode: str, write: str) -> None:
        """Once it has returned, the old value is not served."""
        users, other = processes.local(mode), processes.other()
        for value in range(1, 20):
            users.get(1)
            users.get(1)
            if write == "set":
                other.set(1, value)
            else:
                Users.truth.values[1] = value
                other.set_all(value)
            comes_to(users, 1, value, mode)

    @modes
    def test_while_it_runs(self, processes: Processes, mode: str) -> None:
        """While it runs, nothing is served from the process, and nothing is kept."""
        users, other = processes.local(mode), processes.other()
        users.get(1)
        with pussycache.writing(other.set_all, value=1):
            if mode == "listener":
                eventually(lambda: not kept(users), "the listener heard of it")
            Users.truth.values[1] = 1
            assert users.get(1) == 1
            assert users.get(1) == 1
            Users.truth.values[1] = 2
            assert users.get(1) == 2
        assert users.get(1) == 2

    @modes
    def test_during_a_load(self, processes: Processes, mode: str) -> None:
        """A load that it has overtaken is not kept."""
        users, other = processes.local(mode), processes.other()
        Users.truth.during_load = lambda: Users.truth.loads == [1] and other.set(1, 9)
        assert users.get(1) == 0
        assert users.get(1) == 9

    @modes
    def test_between_reading_and_keeping(
        self, processes: Processes, mode: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was read from the server before it, and is kept after it, is not served."""
        users, other = processes.local(mode), processes.other()
        other.get(1)
        keep = LocalTable.keep

        def late(*args: object) -> bool:
            monkeypatch.undo()
            other.set(1, 9)
            return keep(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(LocalTable, "keep", late)
        assert users.get(1) == 0
        comes_to(users, 1, 9, mode)

    @modes
    def test_between_storing_and_keeping(
        self, processes: Processes, mode: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was loaded and stored before it, and is kept after it, is not served."""
        users, other = processes.local(mode), processes.other()
        keep = LocalTable.keep

        def late(*args: object) -> bool:
            monkeypatch.undo()
            other.set(1, 9)
            return keep(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(LocalTable, "keep", late)
        assert users.get(1) == 0
        comes_to(users, 1, 9, mode)

    def test_noting_late_would_be_wrong(
        self, processes: Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A tier that notes what it has heard when it keeps, and not before it asks, is caught."""
        users, other = processes.local("poll"), processes.other()
        other.get(1)
        keep = LocalTable.keep

        def late(table: LocalTable, plan: object, reading: object, *more: object) -> bool:
            monkeypatch.undo()
            other.set(1, 9)
            # What is heard of the write is heard before it is noted.
            eventually(lambda: users.get(2) == 0 and table.heard > reading.note.heard, "the push")
            reading.note = reading.noting(reading.entry)
            return keep(table, plan, reading, *more)  # type: ignore[arg-type]

        monkeypatch.setattr(LocalTable, "keep", late)
        assert users.get(1) == 0
        # The old value, after the write: what test_between_reading_and_keeping looks for.
        assert users.get(1) == 0

    def test_a_rule_leaves_the_others(self, processes: Processes) -> None:
        """It drops what its rule names, and no other call of the method."""
        users, other = processes.local(), processes.other()
        for _ in range(2):
            for user_id in (1, 2, 3):
                users.get(user_id)
        other.set(2, 9)
        users.everything()
        before = asked(processes.server)
        assert [users.get(1), users.get(3)] == [0, 0]
        assert asked(processes.server) == before
        assert users.get(2) == 9

    @modes
    @pytest.mark.parametrize("how", ["forget", "put", "forget_all", "clear"])
    def test_working_on_one_call(self, processes: Processes, mode: str, how: str) -> None:
        """forget, put, forget_all and clear in another process are seen, as every write is."""
        users = processes.local(mode)
        cache = processes.cache()
        other = wrapped(cache)
        users.get(1)
        users.get(1)
        Users.truth.values[1] = 9
        if how == "clear":
            cache.clear()
        elif how == "put":
            pussycache.put(other.get, 9, 1)
        elif how == "forget":
            pussycache.forget(other.get, 1)
        else:
            pussycache.forget_all(other.get)
        comes_to(users, 1, 9, mode)

    @modes
    def test_a_rule_that_is_declared_later(self, processes: Processes, mode: str) -> None:
        """A process that declares a rule makes wrong what others keep that do not know of it."""
        cache = processes.cache(local=MemoryCache(), coherence=mode)
        reader = pussycache.wrap(Users(), cache, cached_methods=["get"])
        reader.get(1)
        reader.get(1)
        other = processes.other()
        other.set(1, 9)
        comes_to(reader, 1, 9, mode)
        other.set(1, 10)
        comes_to(reader, 1, 10, mode)

    @pytest.mark.parametrize("mode", ["poll", "strict"])
    def test_in_a_real_process(self, processes: Processes, mode: str) -> None:
        """Once a write has returned in a process of its own, the old value is not served."""
        users = processes.local(mode)
        writer = Writer(processes.url)
        try:
            for value in range(1, 50):
                users.get(1)
                users.get(1)
                writer.set(1, value)
                assert users.get(1) == value
        finally:
            writer.close()

    @pytest.mark.parametrize("mode", ["poll", "strict"])
    def test_many_threads(self, processes: Processes, mode: str) -> None:
        """Threads that look at the link at the same time all see what has changed."""
        users, other = processes.local(mode), processes.other()
        written = 0
        wrong: list[tuple[int, int]] = []
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                before = written
                got = users.get(1)
                if got < before:
                    wrong.append((got, before))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for value in range(1, 100):
            other.set(1, value)
            written = value
        over.set()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestOwnWrites:
    """A write in the same process, where nothing has been heard of it from the server yet."""

    @pytest.fixture
    def deaf(self, processes: Processes, monkeypatch: pytest.MonkeyPatch) -> Users:
        cache = processes.cache(local=MemoryCache())
        users = wrapped(cache)
        users.get("another")
        table = users._pussycache_about.scope.table("get")  # type: ignore[attr-defined]
        assert cache._nearby is not None
        monkeypatch.setattr(cache._nearby.links, "watch", lambda: True)
        table.watch = lambda: True
        return users

    @pytest.mark.parametrize("rule", [True, False])
    def test_after_it_returned(self, deaf: Users, rule: bool) -> None:
        """Once it has returned, the old value is not served."""
        deaf.get(1)
        deaf.get(1)
        if rule:
            deaf.set(1, 9)
        else:
            Users.truth.values[1] = 9
            deaf.set_all(9)
        assert deaf.get(1) == 9

    @pytest.mark.parametrize("how", ["set", "set_all", "forget", "put", "forget_all"])
    def test_between_reading_and_keeping(
        self, deaf: Users, processes: Processes, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """What was read from the server before it, and is kept after it, is not served."""
        processes.other().get(1)
        keep = LocalTable.keep

        def late(*args: object) -> bool:
            monkeypatch.setattr(LocalTable, "keep", keep)
            Users.truth.values[1] = 9
            if how == "set":
                deaf.set(1, 9)
            elif how == "set_all":
                deaf.set_all(9)
            elif how == "forget":
                pussycache.forget(deaf.get, 1)
            elif how == "put":
                pussycache.put(deaf.get, 9, 1)
            else:
                pussycache.forget_all(deaf.get)
            return keep(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(LocalTable, "keep", late)
        assert deaf.get(1) == 0
        assert deaf.get(1) == 9

    @pytest.mark.parametrize("mode", ["poll", "listener"])
    def test_that_the_server_does_not_know_of(self, processes: Processes, mode: str) -> None:
        """What such a write has overtaken is not kept, though the server knows of nothing newer."""
        one = processes.local(mode)
        tier = one._cache._tier
        ask = tier.ask

        def deaf(key: bytes, commands: Any, again: bool = True) -> Any:
            scripts = {command[1] for command in commands if command[0] == b"EVALSHA"}
            return None if scripts & {START.sha, END.sha} else ask(key, commands, again)

        def write() -> None:
            Users.truth.during_load = lambda: None
            tier.ask = deaf
            one.set(1, 7)

        Users.truth.during_load = write
        assert one.get(1) == 0
        seen, was_told = one.get(1), not one._cache.pending
        tier.ask = ask
        eventually(lambda: one._cache.pending == 0, "the server was told")
        assert (seen, was_told, one.get(1)) == (7, False, 7)

    def test_a_refresh_that_cannot_be_kept(
        self, deaf: Users, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was kept before a refresh is not served after it, even if the new value is not."""
        deaf.get(1)
        deaf.get(1)
        Users.truth.values[1] = 9
        with monkeypatch.context() as patched:
            patched.setattr(LocalTable, "keep", lambda *args: False)
            assert pussycache.refresh(deaf.get, 1) == 9
        assert deaf.get(1) == 9

    @pytest.mark.parametrize("how", ["forget", "put", "forget_all", "refresh"])
    def test_working_on_one_call(self, deaf: Users, how: str) -> None:
        """forget, put, forget_all and refresh are followed by no old value."""
        deaf.get(1)
        deaf.get(1)
        Users.truth.values[1] = 9
        if how == "put":
            pussycache.put(deaf.get, 9, 1)
        elif how == "refresh":
            pussycache.refresh(deaf.get, 1)
        elif how == "forget":
            pussycache.forget(deaf.get, 1)
        else:
            pussycache.forget_all(deaf.get)
        assert deaf.get(1) == 9


class TestLinks:
    """What happens when nobody says any more what has changed."""

    @modes
    def test_killed(self, processes: Processes, mode: str) -> None:
        """When the server hangs up, nothing that was kept before is served."""
        users, other = processes.local(mode), processes.other()
        users.get(1)
        users.get(1)
        assert kill_links(processes.server) == (mode != "strict")
        other.set(1, 9)
        comes_to(users, 1, 9, mode)
        users.get(1)
        other.set(1, 10)
        comes_to(users, 1, 10, mode)

    @modes
    def test_restarted(self, processes: Processes, mode: str) -> None:
        """When the server was started anew, nothing that was kept before is served."""
        users = processes.local(mode)
        users.get(1)
        users.get(1)
        processes.server.restart()
        Users.truth.values[1] = 9
        comes_to(users, 1, 9, mode)

    @modes
    def test_flushed(self, processes: Processes, mode: str) -> None:
        """When the server was emptied, nothing that was kept before is served."""
        users = processes.local(mode)
        users.get(1)
        users.get(1)
        Users.truth.values[1] = 9
        processes.server.do("FLUSHALL")
        if mode == "poll":
            # The server's word may leave it after its reply; a write of ours has two steps.
            eventually(lambda: users.get(1) == 9, "the word arrived")
        comes_to(users, 1, 9, mode)

    @modes
    def test_hung(self, processes: Processes, mode: str) -> None:
        """When the server hangs, what was kept is served for a while only, and then computed."""
        cache = processes.cache(local=MemoryCache(), coherence=mode, timeout=BRIEF)
        users = wrapped(cache if mode == "strict" else alert(cache))
        users.get(1)
        users.get(1)
        Users.truth.values[1] = 9
        with processes.server.paused():
            eventually(lambda: users.get(1) == 9, "the silence was noticed")
            assert users.get(1) == 9
            assert mode == "strict" or not kept(users)

    def test_a_hung_server_costs_one_timeout(self, processes: Processes) -> None:
        """Where nobody answers who could say what changes, nobody else is waited for either."""
        users = wrapped(processes.cache(local=MemoryCache(), timeout=BRIEF))
        with processes.server.paused():
            assert users.get(1) == 0
            failures = users._cache._tier.failures  # type: ignore[attr-defined]
            # The breaker is open by then: what was asked next was not waited for.
            assert set(failures) == {"waiting"}

    def test_is_kept_alive_by_use(self, processes: Processes) -> None:
        """A link over which nothing is said lives on as long as the server answers."""
        cache = processes.cache(local=MemoryCache())
        users = wrapped(cache)
        users.get(1)
        link = link_of(cache)
        link._heard = link._checked = link._heard - link._silence * 2
        cache._nearby.links.watch.until = link.good_until  # type: ignore[union-attr]
        before = asked(processes.server)
        users.get(1)
        assert asked(processes.server) == before + 1
        eventually(lambda: cache._nearby.links.quiet(), "a sign of life")  # type: ignore[union-attr]
        users.get(1)
        assert asked(processes.server) == before + 1
        assert link_of(cache) is link

    def test_closed_while_it_is_looked_at(
        self, processes: Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A link that its thread closes just when it is to be looked at is no error of a call."""
        cache = processes.cache(local=MemoryCache(), coherence="listener")
        users = wrapped(cache)
        users.get(1)
        with monkeypatch.context() as patched:
            patched.setattr(type(link_of(cache)), "fileno", lambda link: -1)
            cache._nearby.links._settle()  # type: ignore[union-attr]
        assert cache._nearby.links.watch.until < 0  # type: ignore[union-attr]
        assert users.get(1) == 0

    def test_interrupted(self, processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal between reading and dropping leaves nothing behind that could be served."""
        cache = processes.cache(local=MemoryCache())
        users, other = wrapped(cache), processes.other()
        users.get(1)
        users.get(1)

        def interrupted(*args: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(LocalTable, "changed", interrupted)
            other.set(1, 9)
            with suppress(KeyboardInterrupt):
                users.get(1)
        assert users.get(1) == 9

    @pytest.mark.parametrize("rules", [("&*", "-client|tracking"), ("resetchannels",)])
    def test_not_allowed(self, processes: Processes, rules: tuple[str, ...]) -> None:
        """A user that may not be told what changes is an error that names the remedy."""
        server = processes.server
        server.do("ACL", "SETUSER", "plain", "on", ">pw", "~*", "+@all", *rules)
        try:
            url = f"redis://plain:pw@127.0.0.1:{server.port}"
            cache = RedisCache(60, url, local=MemoryCache())
            with pytest.raises(ConfigurationError, match="CLIENT TRACKING"):
                wrapped(cache).get(1)
            cache.close()
            cache = RedisCache(60, url, local=MemoryCache(), coherence="strict")
            users = wrapped(cache)
            assert users.get(1) is users.get(1)
            cache.close()
        finally:
            server.do("ACL", "DELUSER", "plain")

    def test_closed(self, processes: Processes) -> None:
        """A cache that was closed keeps nothing, and listens to nobody."""
        cache = processes.cache(local=MemoryCache(), coherence="listener")
        users = wrapped(cache)
        users.get(1)
        users.get(1)
        cache.close()
        assert not kept(users)
        eventually(lambda: kill_links(processes.server) == 0, "the server saw it hang up")

    def test_without_a_server(self, processes: Processes) -> None:
        """Where there is no server, calls are computed, and nothing is kept."""
        processes.server.kill()
        users = processes.local()
        assert [users.get(1), users.get(1)] == [0, 0]
        assert Users.truth.loads == [1, 1]
        assert not kept(users)


def test_settings() -> None:
    """A wrong local= or coherence= is an error; a copy of a cache has the same ones, empty."""
    import pickle

    with pytest.raises(ConfigurationError, match="local must be a MemoryCache"):
        RedisCache(local=10)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="coherence must be"):
        RedisCache(local=MemoryCache(), coherence="loose")  # type: ignore[arg-type]
    with redis.Redis() as client, pytest.raises(ConfigurationError, match="connection of its own"):
        RedisCache(client=client, local=MemoryCache())
    again = pickle.loads(pickle.dumps(RedisCache(local=MemoryCache(ttl=5), coherence="listener")))
    assert again._settings["coherence"] == "listener"
    assert again._settings["local"].ttl == 5


def test_policy_that_needs_the_server(running: RunningServer) -> None:
    """Methods whose uses the server is to see are not kept in the process."""
    processes = Processes(running)
    try:
        users = wrapped(processes.cache(local=MemoryCache()), idle_ttl=50)
        users.get(1)
        users.get(1)
        assert not kept(users)
        assert Users.truth.loads == [1]
        verifying = pussycache.wrap(
            Users(),
            processes.cache(local=MemoryCache()),
            cached_methods={"everything": Cached(verify=0.0001)},
        )
        verifying.everything()
        verifying.everything()
        assert not kept(verifying, "everything")
    finally:
        processes.close()
