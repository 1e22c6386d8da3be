"""The server that the explorer asks does what real ones do: same replies, same state."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from servers import RunningServer

from pussycache.cache.shared.scripts import CREATE, END, LIFT, MARK, RELEASE, RENEW, START, STORE
from pussycache.cache.wire import Address, Server
from pussycache.testing.explorer.server import SCRIPTS, ModelServer

# Far enough from one another that the time a test takes makes no difference.
SHORT, LONG = 10_000_000, 90_000_000
ABOUT = 1_000_000
LAPSED, LATER = -LONG, LONG

METHOD, RULE, RULES, CAUSE = b"{t}g", b"{t}g:r", b"{t}r", b"{t}c"
LEASE, ENTRY, CHANNEL = b"{t}l", b"{t}e", b"wake"

keys = st.sampled_from([METHOD, RULE, RULES, LEASE, ENTRY])
writers = st.sampled_from([b"a1", b"b2", b"c3"])
rules = st.sampled_from([b"", b"key", b"key,other", b"other"])
known = st.sampled_from([b"", b"key", b"other;key", b"key,other"])
leases = st.sampled_from([b"0one", b"0two"])
lasting = st.sampled_from([SHORT, LONG])
tokens = st.sampled_from([b"T" + bytes(16), b"T" + b"x" * 16])


def written(writers: list[tuple[bytes, int]], now: int) -> bytes:
    return b"W" + b"".join([b"%b=%d;" % (writer, now + left) for writer, left in writers])


listed = st.lists(st.tuples(writers, st.sampled_from([LAPSED, LATER])), max_size=3)

# What depends on the time of the server is a function of that.
generations = st.one_of(
    st.builds(lambda token, rules: lambda now: token + rules, tokens, known),
    st.builds(lambda some: lambda now: written(some, now), listed),
)
held = st.builds(
    lambda lease, waited: lambda now: lease + waited, leases, st.sampled_from([b"", b"w"])
)
noted = st.builds(lambda rules: lambda now: rules, known)
values = st.one_of(generations, held, noted)
until_at_first = st.one_of(st.just(()), st.builds(lambda ms: (b"PX", ms), lasting))

# What there is at first: each key as it comes to be, or not at all.
before = st.tuples(
    *[
        st.none() | st.tuples(st.just(key), value, until_at_first)
        for key, value in [
            (METHOD, generations),
            (RULE, generations),
            (RULES, noted),
            (LEASE, held),
        ]
    ]
)
until = st.one_of(st.just(()), st.builds(lambda ms: (b"PX", ms), lasting), st.just((b"KEEPTTL",)))


def at_once(*command: object) -> object:
    return lambda now: command


def started(generation: bytes, writer: bytes, rule: bytes, ms: int) -> object:
    keys = (generation, METHOD, RULES) if rule else (generation, METHOD)
    return at_once(*START.call(keys, writer, rule, ms))


commands = st.one_of(
    st.builds(
        lambda key, value, nx, get, until: (
            lambda now: (
                *(b"SET", key, value(now)),
                *((b"NX",) if nx else ()),
                *((b"GET",) if get else ()),
                *until,
            )
        ),
        *(keys, values, st.booleans(), st.booleans(), until),
    ),
    st.builds(lambda some: at_once(b"MGET", *some), st.lists(keys, min_size=1, max_size=3)),
    st.builds(at_once, st.sampled_from([b"GET", b"DEL", b"UNLINK", b"EXISTS", b"PTTL"]), keys),
    st.builds(
        lambda key, ms: at_once(b"PEXPIRE", key, ms), keys, st.sampled_from([-1, 0, SHORT, LONG])
    ),
    st.builds(lambda key, ms: at_once(b"GETEX", key, b"PX", ms), keys, lasting),
    st.builds(lambda key: at_once(b"PUBLISH", CHANNEL, key), keys),
    st.builds(started, st.sampled_from([METHOD, RULE]), writers, rules, lasting),
    st.builds(
        lambda generation, writer, rule, cause, ms: at_once(
            *END.call((generation, METHOD, CAUSE), writer, rule, cause, ms)
        ),
        *(st.sampled_from([METHOD, RULE]), writers, rules, st.sampled_from([b"", b"by set"])),
        lasting,
    ),
    st.builds(
        lambda token, rules, ms: at_once(*CREATE.call((METHOD, RULES), token, rules, ms)),
        *(tokens, known, st.sampled_from([b"", SHORT])),
    ),
    st.builds(
        lambda lease, ms: at_once(*STORE.call((LEASE, ENTRY), lease, CHANNEL, b"entry", ms)),
        *(leases, st.sampled_from([b"", SHORT])),
    ),
    st.builds(lambda lease: at_once(*RELEASE.call((LEASE,), lease, CHANNEL)), leases),
    st.builds(lambda lease, ms: at_once(*RENEW.call((LEASE,), lease, ms)), leases, lasting),
    st.builds(lambda lease: at_once(*MARK.call((LEASE,), lease)), leases),
    st.builds(lambda key: at_once(*LIFT.call((key,))), keys),
)


def rounded(value: object, now: int) -> object:
    """A reply or value without the time that the test takes."""
    if isinstance(value, list):
        return [rounded(one, now) for one in value]
    if isinstance(value, bytes) and value[:1] == b"W":
        return re.sub(
            rb"=(\d+)", lambda found: b"=%d" % round((int(found[1]) - now) / ABOUT), value
        )
    if isinstance(value, int) and abs(value) > 1000:
        return round(value / ABOUT)
    return value


def test_there_is_a_function_for_each_script():
    """The model knows each script that the protocol runs."""
    known = {START, END, CREATE, STORE, RELEASE, RENEW, MARK, LIFT}
    assert set(SCRIPTS) == {script.sha for script in known}


def published(real: Server) -> int:
    """How many messages were published."""
    stats, _ = real.ask(None, [(b"INFO", b"commandstats")])
    found = re.search(rb"cmdstat_publish:calls=(\d+)", stats[0])
    return int(found[1]) if found else 0


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    before=((METHOD, lambda now: b"T" + bytes(16) + b"key,other", ()), None, None, None),
    some=[started(RULE, b"a1", b"other", SHORT)],
)
@given(before=before, some=st.lists(commands, min_size=1, max_size=8))
def test_the_model_does_what_a_server_does(running: RunningServer, before: tuple, some: list):
    """After the same commands a model and a real server have said and have the same."""
    real = Server(Address.parse(running.unix_url))
    try:
        replies, _ = real.ask(None, [(b"TIME",), (b"FLUSHALL",), (b"CONFIG", b"RESETSTAT")])
        model = ModelServer()
        model.now = now = int(replies[0][0]) * 1000 + int(replies[0][1]) // 1000
        first = [(b"SET", one[0], one[1](now), *one[2]) for one in before if one is not None]
        for command in [*first, *[make(now) for make in some]]:
            (reply,), _ = real.ask(None, [command])
            assert rounded(reply, now) == rounded(model.do(command), now), command
        for key in (METHOD, RULE, RULES, CAUSE, LEASE, ENTRY):
            there, _ = real.ask(None, [(b"GET", key), (b"PTTL", key)])
            assert rounded(there, now) == rounded([model.get(key), model.left(key)], now), key
        assert published(real) == len(model.published)
    finally:
        real.close()
