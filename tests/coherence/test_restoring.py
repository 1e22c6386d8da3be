"""Loading a saved cache goes before no write: what is made wrong meanwhile does not appear."""

import pytest

import pussycache
from pussycache import MISSING, Cached, Forget, ForgetTag, MemoryCache
from pussycache.cache.serializers import MsgpackSerializer


class Source:
    def __init__(self, hold=None):
        self.hold = hold

    def read(self, a):
        return a

    def other(self, a):
        return a

    def write(self, a):
        if self.hold is not None:
            self.hold()
        return a


class Held:
    """A serializer that is held where a value is read."""

    name = "msgpack"

    def __init__(self, gate):
        self._gate = gate

    def bind(self, annotation):
        codec = MsgpackSerializer().bind(annotation)
        gate = self._gate

        class Codec:
            encode = staticmethod(codec.encode)

            @staticmethod
            def decode(data):
                gate.hold()
                return codec.decode(data)

        return Codec()


SAID = {
    "cached_methods": {"read": Cached(tags=["a:{a}"]), "other": Cached()},
    "invalidate_methods": {"write": ["read"]},
}


def declared(*rules):
    return {**SAID, "invalidate_methods": {"write": list(rules)}}


def wrapped(cache, said=SAID, **how):
    return pussycache.wrap(Source(**how), cache, namespace="n", **said)


@pytest.fixture
def path(tmp_path):
    """A file with two entries of `read` and one of `other`, and one of `set`."""
    source = wrapped(cache := MemoryCache())
    source.read(1), source.read(2), source.other(1)
    cache.set("k", 1)
    assert cache.save(tmp_path / "warm").saved == 4
    return tmp_path / "warm"


WRITES = {
    "write": (["read"], lambda source, cache: source.write(1)),
    "everything": (["*"], lambda source, cache: source.write(1)),
    "rule": ([Forget("read", "a")], lambda source, cache: source.write(1)),
    "by-result": (
        [Forget("read", a=lambda call: call.result)],
        lambda source, cache: source.write(1),
    ),
    "tag": ([ForgetTag("a:{a}")], lambda source, cache: source.write(1)),
    "forget": (["read"], lambda source, cache: pussycache.forget(source.read, 1)),
    "forget-all": (["read"], lambda source, cache: pussycache.forget_all(source.read)),
    "forget-tag": (["read"], lambda source, cache: pussycache.forget_tag(cache, "a:1")),
    "clear": (["read"], lambda source, cache: cache.clear()),
    "put-and-forget": (
        ["read"],
        lambda source, cache: (
            pussycache.put(source.read, "new", 1),
            source.write(1),
        ),
    ),
}


# These work on a method that is cached; then nothing of it waits.
OF_ONE_METHOD = ("forget", "forget-all", "put-and-forget")


@pytest.mark.parametrize(
    ("write", "when"),
    [(write, "reading") for write in WRITES]
    + [(write, "waiting") for write in WRITES if write not in OF_ONE_METHOD],
)
def test_what_is_made_wrong_after_the_loading_began_does_not_appear(path, spawn, gate, write, when):
    """A write that ends between the beginning of a load and the entering of an entry wins."""
    rules, act = WRITES[write]
    said = declared(*rules)
    cache = MemoryCache()
    if when == "reading":
        source = wrapped(cache, said)
        loading = spawn(cache.load, path, serializer=Held(gate))
        gate.reached()
        act(source, cache)
        gate.open()
        report = loading.result()
    else:
        # The reader comes when the write is over; until then the entries of `read` wait.
        writer = pussycache.wrap(
            Source(), cache, namespace="n", **{**said, "cached_methods": ["other"]}
        )
        report = cache.load(path)
        act(writer, cache)
        source = wrapped(cache, said)
    assert pussycache.peek(source.read, 1) is MISSING
    assert report.refused["overtaken"] >= 1
    narrow = write in ("rule", "by-result", "tag", "forget", "forget-tag")
    assert (pussycache.peek(source.read, 2) == 2) == narrow
    assert cache.waiting is None


@pytest.mark.parametrize("deferred", [False, True])
def test_while_a_write_is_at_work_nothing_of_its_method_appears(path, spawn, gate, deferred):
    """What is loaded during a write is not there during the write, and not after it."""
    rule = Forget("read", a=(lambda call: call.result)) if deferred else Forget("read", "a")
    cache = MemoryCache()
    source = wrapped(cache, declared(rule), hold=gate.hold)
    writing = spawn(source.write, 1)
    gate.reached()
    report = cache.load(path)
    assert report.refused["overtaken"] == (2 if deferred else 1)
    assert pussycache.peek(source.read, 1) is MISSING
    gate.open()
    writing.wait()
    assert pussycache.peek(source.read, 1) is MISSING
    assert pussycache.peek(source.other, 1) == 1


def test_while_the_entries_of_a_method_are_hidden_none_is_said_to_be_loaded(path):
    """Not even when it is known already which of them the write makes wrong."""
    cache = MemoryCache()
    rules = [Forget(name, a=lambda call: call.result) for name in ("other", "read")]
    source = wrapped(cache, declared(*rules))
    source.other(1)
    reports = []
    # Told when the write has ended for `other`, and not for `read` yet.
    cache.on_removal(lambda removal: reports.append(cache.load(path)))
    source.write(1)
    assert reports[0].refused["overtaken"] == 2
    assert pussycache.peek(source.read, 2) is MISSING


def test_a_write_that_began_before_the_load_and_ends_during_it_wins(path, spawn, new_gate):
    """An entry that is entered when such a write is over does not appear."""
    inside, reading = new_gate(), new_gate()
    cache = MemoryCache()
    source = wrapped(cache, declared(Forget("read", "a")), hold=inside.hold)
    writing = spawn(source.write, 1)
    inside.reached()
    loading = spawn(cache.load, path, serializer=Held(reading))
    reading.reached()
    inside.open()
    writing.wait()
    reading.open()
    assert loading.result().refused == {"overtaken": 1}
    assert pussycache.peek(source.read, 1) is MISSING
    assert pussycache.peek(source.read, 2) == 2


def test_what_a_writer_was_at_work_on_when_the_process_forked_does_not_appear(path):
    """In a forked child the writer is not there any more; what it began to make wrong is."""
    cache = MemoryCache()
    said = declared(Forget("read", "a"))
    writer = pussycache.wrap(Source(), cache, namespace="n", **{**said, "cached_methods": []})
    cache.load(path)
    with pussycache.writing(writer.write, 1):
        cache.forget_others()  # as the child does
        reader = wrapped(cache, said)
        # The child never sees that write end.
        assert pussycache.peek(reader.read, 1) is MISSING
        assert pussycache.peek(reader.read, 2) == 2


def test_what_is_read_after_the_cache_was_cleared_is_not_given_to_a_new_object(path, spawn, gate):
    """A load that began before a clear brings in nothing after it, whoever comes meanwhile."""
    cache = MemoryCache()
    loading = spawn(cache.load, path, serializer=Held(gate))
    gate.reached()
    cache.clear()
    source = wrapped(cache)
    gate.open()
    assert loading.result().refused == {"overtaken": 4}
    assert (len(cache), pussycache.peek(source.read, 1)) == (0, MISSING)


def test_a_table_that_is_made_after_a_write_of_everything_is_not_given_old_entries(path):
    """A proxy that only writes forgets everything of an object whose reader comes later."""
    cache = MemoryCache()
    writer = pussycache.wrap(Source(), cache, namespace="n", invalidate_methods={"write": ["*"]})
    report = cache.load(path)
    assert report.waiting == 3
    writer.write(1)
    reader = wrapped(cache)
    assert pussycache.peek(reader.read, 1) is MISSING
    assert report.refused == {"overtaken": 3}


def test_keys_of_set_that_are_deleted_or_replaced_meanwhile_do_not_come_back(path, spawn, gate):
    """`delete`, `set`, `touch` and `clear` are writes; other keys are loaded all the same."""
    for act in (
        lambda cache: cache.delete("k"),
        lambda cache: (cache.set("k", 2), cache.delete("k")),
        lambda cache: cache.set("k", 2, 0),
        lambda cache: cache.clear(),
    ):
        cache = MemoryCache()
        gate.arrived.clear()
        gate.opened.clear()
        loading = spawn(cache.load, path, serializer=Held(gate))
        gate.reached()
        act(cache)
        gate.open()
        assert loading.result().refused["overtaken"] >= 1
        assert cache.get("k") is None


def test_a_load_under_way_is_not_replaced(path, spawn, gate):
    """A caller that loads anew while the file is read stores what it got."""
    cache = MemoryCache()

    class Slow(Source):
        def read(self, a):
            gate.hold()
            return "new"

    Slow.__module__, Slow.__qualname__ = Source.__module__, Source.__qualname__
    source = pussycache.wrap(Slow(), cache, namespace="n", **SAID)
    call = spawn(source.read, 1)
    gate.reached()
    report = cache.load(path)
    assert report.refused == {"present": 1}
    gate.open()
    assert (call.result(), source.read(1), source.read(2)) == ("new", "new", 2)


def test_a_class_that_writes_for_all_instances_overtakes_those_that_come_later(tmp_path):
    """An instance that is first used after a class method wrote is given nothing older."""
    made = []

    def kinds(cache):
        class Kind:
            def __cache_identity__(self):
                return "x"

            @pussycache.cached(cache=cache)
            def total(self, a):
                made.append(a)
                return a

            @classmethod
            @pussycache.invalidates("total")
            def reset(cls):
                pass

        Kind.__qualname__ = "Kind"
        return Kind

    first = kinds(cache := MemoryCache())()
    first.total(1)
    assert cache.save(tmp_path / "warm").saved == 1
    for resets in (False, True):
        kind = kinds(other := MemoryCache())
        other.load(tmp_path / "warm")
        made.clear()
        if resets:
            kind.reset()
        instance = kind()
        instance.total(1)
        assert made == ([1] if resets else [])


def test_after_a_load_nothing_is_noted_any_more(path):
    """Tables keep an account of writes only while something is brought in, or waits."""
    cache = MemoryCache()
    source = wrapped(cache)
    cache.load(path)
    tables = [source.read.__pussycache__.table(source), cache._plain]
    assert [table.touched for table in tables] == [None, None]
    assert cache.waiting is None


def test_what_is_deep_in_a_long_load_is_not_noted_without_bound(path, spawn, gate):
    """Of more than a thousand writes during a load, none is forgotten."""
    cache = MemoryCache()
    source = wrapped(cache)
    loading = spawn(cache.load, path, serializer=Held(gate))
    gate.reached()
    pussycache.forget(source.read, 1)
    for number in range(2000, 3500):
        pussycache.forget(source.read, number)
    gate.open()
    assert loading.result().refused == {"overtaken": 2}
    assert pussycache.peek(source.read, 1) is MISSING
