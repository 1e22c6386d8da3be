"""`CacheBackend` over a server, beyond what Django asks of a backend (test_django_own_tests.py)."""

import asyncio
import pickle
import threading
import time

import pytest
from bank.models import Person
from django.core.cache import caches
from django.db.models import QuerySet
from django.test import override_settings
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from patience import BRIEF
from servers import RunningCluster, RunningServer, eventually

from pussycache import BackendUnavailable, ConfigurationError
from pussycache.contrib.django import CacheBackend, shared
from pussycache.contrib.django.checks import check_caches

OURS = "pussycache.contrib.django.CacheBackend"
LOCAL = {"local": {"max_entries": 100}}


@pytest.fixture(scope="module")
def started():
    """A Valkey server."""
    running = RunningServer("valkey")
    yield running
    running.stop()


@pytest.fixture
def server(started):
    """The server, empty."""
    started.do("FLUSHALL")
    return started


@pytest.fixture
def process(monkeypatch):
    """Makes backends as a process of its own would, and closes what they have open."""
    made = []

    def process(location, key_prefix="", **options):
        made.append([])
        monkeypatch.setattr(shared, "_made", made[-1])
        return CacheBackend(location, {"OPTIONS": options, "KEY_PREFIX": key_prefix})

    yield process
    for stores in made:
        for _, store in stores:
            # Whoever is delivering just now would owe it again.
            store._tier.keeper.close()
            store._tier._pending.clear()
            store.close()


def reads(server):
    """How many times the server was asked for values."""
    with server.client() as client:
        return client.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]


class Forged:
    """Whoever unpickles it does what it says."""

    done = []

    def __reduce__(self):
        return Forged.done.append, ("forged",)


# Values ------------------------------------------------------------------------------------------


def test_values_are_what_django_users_keep(server, process, database):
    """Rows, querysets, lazy and safe texts and None come back as pickle gives them back."""
    cache = process(server.url)
    ada = Person.objects.create(name="ada")
    cache.set_many(
        {
            "row": ada,
            "rows": Person.objects.filter(name="ada"),
            "lazy": gettext_lazy("Yes"),
            "safe": mark_safe("<b>"),
            "none": None,
        }
    )
    found = cache.get_many(["row", "rows", "lazy", "safe", "none", "missing"])
    assert found["row"] == ada
    assert isinstance(found["rows"], QuerySet)
    assert list(found["rows"]) == [ada]
    assert str(found["lazy"]) == "Yes"
    assert type(found["safe"]) is SafeString
    assert found["none"] is None
    assert "missing" not in found


def test_an_awaited_queryset_is_read_elsewhere(server, process, database):
    """A value that asks the database when it is pickled can be awaited, too."""
    Person.objects.create(name="ada")
    cache = process(server.url)

    async def main():
        await cache.aset("rows", Person.objects.all())
        await cache.aset_many({"more": Person.objects.all()})
        assert await cache.aadd("new", Person.objects.all())
        return await cache.aget_many(["rows", "more", "new"])

    found = asyncio.run(main())
    assert {name: [row.name for row in rows] for name, rows in found.items()} == {
        "rows": ["ada"],
        "more": ["ada"],
        "new": ["ada"],
    }


def test_what_cannot_be_pickled_says_so(server, process):
    """The error is that of pickle, as with Django's own backends."""
    cache = process(server.url)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        cache.set("key", lambda: None)


def test_nothing_is_unpickled_that_is_not_signed(server, process):
    """Whoever can write to the server cannot have anything executed here."""
    cache = process(server.url)
    cache.set("key", 1)
    (place,) = server.do("KEYS", "*")
    entry = server.do("GET", place)
    (payload,) = [pickle.dumps(Forged())]
    for forged in (payload, entry[:39] + b"\0" + payload, entry + payload):
        server.do("SET", place, forged)
        assert cache.get("key", "nothing") == "nothing"
    assert Forged.done == []
    server.do("SET", place, entry)
    assert cache.get("key") == 1


def test_a_signed_value_is_good_for_its_key_only(server, process):
    """A value that is moved to another key is not given back there."""
    cache = process(server.url)
    cache.set("poor", 1)
    (place,) = server.do("KEYS", "*")
    server.do("COPY", place, place.replace(b"poor", b"rich"))
    assert cache.get("poor") == 1
    assert cache.get("rich") is None


def test_secrets_are_rotated_as_djangos(server, process):
    """SECRET_KEY signs, SECRET_KEY_FALLBACKS verify, and nothing else does."""
    old, new = "the secret of last year, long enough", "the secret of this year, long enough"
    with override_settings(SECRET_KEY=old):
        process(server.url).set("key", "old")
    with override_settings(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]):
        cache = process(server.url)
        assert cache.get("key") == "old"
        cache.set("new", "new")
    with override_settings(SECRET_KEY=new):
        cache = process(server.url)
        assert cache.get("key") is None
        assert cache.get("new") == "new"
        assert process(server.url, secret_keys=[old]).get("key") == "old"


def test_another_serializer(server, process):
    """A serializer may be named; its refusals name the value."""
    cache = process(server.url, serializer="msgpack")
    cache.set("key", (1, {2}))
    assert cache.get("key") == (1, {2})
    with pytest.raises(ConfigurationError, match="value cannot be stored"):
        cache.set("key", object())
    named = process(server.url, serializer="pussycache.cache.serializers.MsgpackSerializer")
    assert named.get("key") == (1, {2})


# Keys --------------------------------------------------------------------------------------------


def test_clear_removes_what_has_this_prefix(server, process):
    """Other prefixes, other caches and others' keys stay."""
    server.do("SET", "django.shops:v:others", "x")
    shop, other, none = (process(server.url, name) for name in ("shop", "other", ""))
    for cache in (shop, other, none):
        cache.set("key", 1)
        cache.set("again", 1, version=2)
    assert len(shop) == 2
    shop.clear()
    assert len(shop) == 0
    assert shop.get("key") is shop.get("again", version=2) is None
    none.clear()
    assert other.get("key") == other.get("again", version=2) == 1
    assert server.do("GET", "django.shops:v:others") == b"x"


def test_clear_looks_at_each_key_once(server, process):
    """Nothing is looked for that a cache of Django's does not have."""
    cache = process(server.url)
    cache.set("key", 1)
    server.do("CONFIG", "RESETSTAT")
    cache.clear()
    with server.client() as client:
        assert client.info("commandstats")["cmdstat_scan"]["calls"] == 1


def test_aliases_share_a_connection_where_they_agree(server):
    """One store for one LOCATION, KEY_PREFIX and OPTIONS; VERSION and TIMEOUT may differ."""
    said = {"BACKEND": OURS, "LOCATION": server.url}
    settings = {
        "default": said,
        "too": {**said, "TIMEOUT": 5, "VERSION": 2, "OPTIONS": {"MAX_ENTRIES": 5}},
        "local": {**said, "OPTIONS": LOCAL},
        "prefixed": {**said, "KEY_PREFIX": "p"},
    }
    with override_settings(CACHES=settings):
        stores = {alias: caches[alias].store for alias in settings}
        assert stores["default"] is stores["too"]
        assert len(set(map(id, stores.values()))) == 3
        found = []
        thread = threading.Thread(target=lambda: found.append(caches["default"].store))
        thread.start()
        thread.join()
        assert found == [stores["default"]]
        caches["default"].set("key", 1)
        assert caches["local"].get("key") == 1
        assert caches["prefixed"].get("key") is None
        for store in {id(store): store for store in stores.values()}.values():
            store.close()


def test_incr_is_one_step_and_keeps_the_timeout(server, process):
    """Of threads that count at once, none is lost."""
    cache = process(server.url, **LOCAL)
    cache.set("count", 0, 100)
    barrier = threading.Barrier(4)

    def count():
        barrier.wait(60)
        for _ in range(25):
            cache.incr("count")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("count") == 100
    (place,) = server.do("KEYS", "*")
    assert 0 < server.do("PTTL", place) <= 100_000


def test_a_timeout_that_has_passed_has_passed(server, process):
    """No value is served when its timeout is over, also not in the server's last millisecond."""
    cache = process(server.unix_url)
    for _ in range(40):
        cache.set("set", 1, 0.01)
        cache.set("touch", 1, 10)
        cache.touch("touch", 0.01)
        until = time.perf_counter() + 0.01
        while time.perf_counter() < until:
            pass
        assert cache.get_many(["set", "touch"]) == {}


def test_over_a_cluster(process):
    """All words work where keys lie on several servers, with a local tier, too."""
    cluster = RunningCluster("valkey")
    try:
        for options in ({}, LOCAL):
            cache = process(cluster.url, "cluster", **options)
            values = {f"key{i}": i for i in range(20)}
            assert cache.set_many(values) == []
            assert cache.get_many(values) == cache.get_many(values) == values
            cache.delete_many(["key0", "key1"])
            assert cache.get_many(["key0", "key1", "key2"]) == {"key2": 2}
            assert cache.incr("key2") == cache.get("key2") == 3
            assert len(cache) == 18
            cache.clear()
            assert cache.get_many(values) == {}
    finally:
        cluster.stop()


# What is kept in this process, too ---------------------------------------------------------------


@pytest.mark.parametrize("coherence", ["poll", "listener"])
def test_a_local_hit_asks_nobody(server, process, coherence):
    """What was read is kept here; each caller is given an object of its own."""
    cache = process(server.url, coherence=coherence, **LOCAL)
    cache.set("key", [1])

    def asks():
        before = reads(server)
        assert cache.get("key") == [1]
        return reads(server) != before

    # The server's word of the value that was set may come late: it is dropped once more then.
    eventually(lambda: not asks(), "a value that is kept")
    before = reads(server)
    cache.get("key").append(2)
    assert cache.get("key") == [1]
    assert cache.get_many(["key"]) == {"key": [1]}
    assert cache.has_key("key")
    assert reads(server) == before


@pytest.mark.parametrize("coherence", ["poll", "listener"])
def test_what_others_change_is_not_served(server, process, coherence):
    """A value that another process has changed or removed is asked for again."""
    here = process(server.url, coherence=coherence, **LOCAL)
    there = process(server.url)
    there.set("key", 0)
    for change, expected in [
        (lambda: there.set("key", 1), 1),
        (lambda: there.incr("key"), 2),
        (lambda: there.delete("key"), None),
        (lambda: there.set("key", 3), 3),
        (lambda: there.clear(), None),
    ]:
        here.get("key"), here.get("key")
        change()
        eventually(lambda expected=expected: here.get("key") == expected, "the server's word")


def test_own_writes_are_seen_at_once(server, process):
    """What this process writes it never serves old, though the server's word has not come yet."""
    cache = process(server.url, **LOCAL)
    cache.get("key")
    cache.store._values.links.quiet = lambda: True  # nothing is heard any more
    for number in range(10):
        cache.set("key", number)
        assert cache.get("key") == cache.get("key") == number
    assert cache.incr("key") == cache.get("key") == 10
    cache.set_many({"key": 11})
    assert cache.get("key") == 11
    cache.delete("key")
    assert cache.get("key") is None
    asyncio.run(cache.aset("key", 12))
    assert cache.get("key") == 12
    cache.clear()
    assert cache.get("key") is None


def test_a_value_that_changes_while_it_is_read_is_not_kept(server, process):
    """The reader is given what it read; the next one asks again."""
    here, there = process(server.url, **LOCAL), process(server.url)
    there.set("key", "old")
    here.get("other")
    tier = here.store._tier
    ask = tier.ask

    def ask_and_be_overtaken(*args):
        replies = ask(*args)
        tier.ask = ask
        there.set("key", "new")
        # The word of it is heard before the old value could be kept.
        link = next(iter(here.store._values.links._links.values()))
        eventually(lambda: link.poll() and not tokens, "the server's word")
        return replies

    tokens = here.store._values._tokens
    tier.ask = ask_and_be_overtaken
    assert here.get("key") == "old"
    assert here.get("key") == "new"


def test_an_own_write_while_a_value_is_read(server, process):
    """A value that this process replaces while it is being read is not kept either."""
    cache = process(server.url, **LOCAL)
    cache.set("key", "old")
    cache.get("other")
    tier = cache.store._tier
    ask = tier.ask

    def ask_and_be_overtaken(*args):
        replies = ask(*args)
        tier.ask = ask
        cache.set("key", "new")
        return replies

    tier.ask = ask_and_be_overtaken
    assert cache.get("key") == "old"
    assert cache.get("key") == "new"


def test_timeouts_hold_here_too(server, process):
    """What is kept here is kept no longer than in the server."""
    from pussycache.testing import FakeClock

    cache = process(server.url, **LOCAL)
    cache.set("key", 1, 50)
    with FakeClock() as clock:
        assert cache.get("key") == 1
        before = reads(server)
        clock.advance(40)
        assert cache.get("key") == 1
        assert reads(server) == before
        clock.advance(11)
        cache.get("key")
        assert reads(server) == before + 1


def test_without_a_link_nothing_is_kept(server, process):
    """When the server hangs up on who listens, everything kept is dropped."""
    cache = process(server.url, **LOCAL)
    cache.set("key", 1)
    cache.get("key")
    before = reads(server)
    with server.client() as client:
        for each in client.client_list():
            if "t" in each["flags"] or "B" in each["flags"]:
                client.client_kill_filter(_id=each["id"])
    eventually(lambda: cache.get("key") == 1 and reads(server) > before, "an empty tier")


# When the server is away -------------------------------------------------------------------------


@pytest.fixture
def running():
    """A server of the test's own, whose port nobody else is given after its end."""
    made = RunningServer("valkey")
    yield made
    made.stop()


@pytest.mark.parametrize("options", [{}, LOCAL], ids=["shared", "local"])
def test_a_site_goes_on_without_its_server(running, process, options):
    """Where nobody listens, everything is a miss, and only clearing fails."""
    cache = process(running.url, **options)
    cache.set("key", 1)
    assert cache.get("key") == 1
    running.kill()
    cache.set("key", 2)
    assert cache.get("key", "nothing") == "nothing"
    assert cache.get_many(["key"]) == {}
    assert cache.set_many({"key": 3}) == []
    assert cache.get_or_set("key", 4) == 4
    assert cache.add("new", 5) is False
    assert cache.touch("key") is False
    assert cache.delete("key") is False
    assert "key" not in cache
    cache.delete_many(["key"])
    with pytest.raises(ValueError, match="key' not found: the server does not answer"):
        cache.incr("key")
    with pytest.raises(BackendUnavailable):
        cache.clear()
    assert asyncio.run(cache.aget("key", "nothing")) == "nothing"
    assert cache.store.pending == 1


@pytest.mark.parametrize("options", [{}, LOCAL], ids=["shared", "local"])
def test_what_could_not_be_replaced_is_removed_later(process, options):
    """A value that was replaced or removed while the server hung is given to nobody after it."""
    running = RunningServer("valkey")
    try:
        here, there = process(running.url, timeout=BRIEF, **options), process(running.url)
        for key in ("set", "delete", "touch", "many", "kept"):
            there.set(key, "old")
            eventually(lambda key=key: here.get(key) == "old", "a server that answers")
        with running.paused():
            here.set("set", "new")
            here.delete("delete")
            here.touch("touch", 0)
            here.set_many({"many": "new"})
            here.delete_many(["many"])
            assert here.store.pending == 4
        for key in ("set", "delete", "touch", "many"):
            assert here.get(key) is None
        eventually(lambda: here.store.pending == 0, "the delivery")
        for key in ("set", "delete", "touch", "many"):
            assert there.get(key) is None
        eventually(lambda: here.get("kept") == "old", "a server that answers")

        def is_set():
            here.set("set", "newer")
            return there.get("set") == "newer"

        eventually(is_set, "a server that answers")
    finally:
        running.stop()


@pytest.mark.parametrize(
    "when", ["before it is noted", "while it is asked for", "before it is owed"]
)
def test_what_is_owed_is_not_kept_by_a_read_that_was_under_way(server, process, when):
    """A value that is read while its replacement fails is not served from this process later."""
    here, there = process(server.url, **LOCAL), process(server.url)
    there.set("key", "old")
    here.get("other")
    tier, links = here.store._tier, here.store._values.links
    ask, put_off, replication = tier.ask, tier.put_off, links.replication
    writes = []

    def fail_to_write():
        writes.append("new")
        here.set("key", "new")

    def asked(place, commands, *rest):
        if commands[0][0] == b"SET":
            return None
        replies = ask(place, commands, *rest)
        if when == "while it is asked for" and not writes:
            fail_to_write()
        return replies

    def noting(link):
        if when == "before it is noted" and not writes:
            fail_to_write()
        return replication(link)

    def owing(removal):
        if when == "before it is owed":
            assert here.get("key") == "old"
        put_off(removal)

    tier.ask, tier.put_off, links.replication = asked, owing, noting
    # It is delivered when the test says so.
    deliver, tier.keeper.deliver = tier.keeper.deliver, lambda: None
    if when == "before it is owed":
        fail_to_write()
    else:
        assert here.get("key") == "old"
    assert here.store.pending == 1
    assert here.get("key") is None
    links.quiet = lambda: True  # nothing is heard any more
    deliver()
    eventually(lambda: here.store.pending == 0, "the delivery")
    assert here.get("key") is None


def test_what_is_owed_is_settled_by_the_next_change(server, process, monkeypatch):
    """A change that arrives comes after the removal: nothing old is counted on or found there."""
    cache = process(server.url)
    cache.set_many({"set": 1, "incr": 1, "add": 1})
    tier = cache.store._tier
    # Nobody delivers meanwhile.
    tier.keeper.close()
    with monkeypatch.context() as patched:
        # As if nobody answered.
        patched.setattr(tier, "ask", lambda *asked: None)
        cache.delete_many(["set", "incr", "add"])
    assert cache.store.pending == 3
    assert cache.get_many(["set", "incr", "add"]) == {}
    cache.set("set", 2)
    assert cache.get("set") == 2
    with pytest.raises(ValueError, match="incr' not found"):
        cache.incr("incr")
    assert cache.add("add", 2)
    assert cache.get("add") == 2
    assert cache.store.pending == 0


def test_refusing(running, process):
    """With on_outage="refuse" a change raises; reading still does not."""
    cache = process(running.url, on_outage="refuse")
    cache.set("key", 1)
    running.kill()
    for change in (
        lambda: cache.set("key", 2),
        lambda: cache.set_many({"key": 2}),
        lambda: cache.add("key", 2),
        lambda: cache.delete("key"),
        lambda: cache.delete_many(["key"]),
        lambda: cache.touch("key"),
        lambda: cache.incr("key"),
    ):
        with pytest.raises(BackendUnavailable):
            change()
    assert cache.get("key", "nothing") == "nothing"
    assert cache.store.pending == 0


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "redis://localhost",
        "rediss://localhost",
        "unix:///socket",
        "redis+sentinel://localhost/primary/0",
        "rediss+sentinel://localhost/primary/0",
        "redis+cluster://localhost",
        "rediss+cluster://localhost",
    ],
)
def test_all_that_a_server_may_be(process, location):
    """Every URL that RedisCache takes is a LOCATION; nobody is asked before the first use."""
    assert process(location).store.url == location


@pytest.mark.parametrize(
    ("location", "options", "says"),
    [
        ("http://localhost", {}, "LOCATION or OPTIONS: url begins with 'http'; begin it with one"),
        ("redis://localhost/name", {}, "LOCATION or OPTIONS: url names the database 'name'"),
        ("redis://x", {"locl": True}, r"OPTIONS has 'locl'; it may have coherence, .*local"),
        ("redis://x", {"local": 5}, "'local'. must be True or have max_bytes and max_entries"),
        ("redis://x", {"local": {"ttl": 5}}, "must be True or have max_bytes and max_entries"),
        ("redis://x", {"local": {"max_entries": 0}}, "max_entries must be a positive number"),
        ("redis://x", {"coherence": "poll"}, r"give OPTIONS\['local'\], too"),
        ("redis://x", {**LOCAL, "coherence": "strict"}, "must be 'poll' or 'listener', not 'str"),
        ("redis://x", {"secret_keys": None}, "leave it out to have them signed with SECRET_KEY"),
        ("redis://x", {"secret_keys": "text"}, "secret_keys is of type str; give a list"),
        ("redis://x", {"serializer": "json"}, "serializer is 'json'; give 'msgpack', 'pickle'"),
        ("redis://x", {"serializer": "no.such"}, r"OPTIONS\['serializer'\]: No module named 'no'"),
        ("redis://x", {"on_outage": "panic"}, "on_outage must be 'queue' or 'refuse'"),
        ("redis://x", {"timeout": 0}, "timeout must be a number of seconds above 0"),
    ],
)
def test_settings_that_cannot_work_are_named(process, location, options, says):
    """The backend says what is wrong, and so does the check, before anybody uses it."""
    with pytest.raises(ConfigurationError, match=says):
        process(location, **options)
    said = {"default": {"BACKEND": OURS, "LOCATION": location, "OPTIONS": options}}
    with override_settings(CACHES=said):
        (problem,) = check_caches(None)
    assert problem.id == "pussycache.E001"
    assert problem.is_serious()
    assert "CACHES['default']" in problem.msg
