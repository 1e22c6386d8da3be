"""The explorer over the protocol of the shared tier: it finds nothing wrong, and misses safeguards.

Each safeguard of the protocol is taken out once, by exchanging a script of the model server or a
piece of a flow's own text; the explorer must find what is wrong then.
"""

from __future__ import annotations

import inspect
import linecache
import re
import textwrap
import time
from dataclasses import replace

import pytest

pytest.importorskip("redis", reason="the shared tier comes with an extra")

from pussycache.cache.shared import (
    consulting,
    fences,
    flow,
    keeper,
    landing,
    lease,
    loading,
    nearby,
    operations,
    reading,
    spreading,
    tables,
    tiered,
)
from pussycache.cache.shared.scripts import CREATE, END, START
from pussycache.testing import PromiseBroken
from pussycache.testing.explorer import Reads, Writes, server
from pussycache.testing.explorer.__main__ import main
from pussycache.testing.explorer.network import Network, modelled
from pussycache.testing.explorer.scenario import Forgets, ForgetsAll
from pussycache.testing.explorer.shared_programs import SHARED_PROGRAMS
from pussycache.testing.explorer.sharing import Process, SharedScenario

SMALL = [
    "killed-writer",
    "failing-write",
    "overlapping-writes",
    "repeated-end",
    "lost-generation",
    "lost-start",
    "one-argument",
    "unknown-rule",
    "failover",
    "outage",
    "killed-reader",
    "forget",
    "forget-all",
    "local",
    "local-writer",
    "local-forgotten",
]


@pytest.mark.parametrize("name", SMALL)
def test_the_protocol_keeps_the_promise(name):
    """All schedules of each of these programs keep the promise, and nobody hangs.

    The larger ones are for the command: `python -m pussycache.testing.explorer --shared --all`.
    """
    assert SHARED_PROGRAMS[name].scenario.explore().schedules > 100


def test_a_lease_beside_the_look_keeps_the_promise(monkeypatch):
    """Where calls take their lease with the look, the promise is kept, and nobody hangs."""
    monkeypatch.setattr(flow, "COLD", 0)
    monkeypatch.setattr(tables, "COLD", 0)
    # The first call is not found: so the next one expects nothing, under the same generation.
    reader = Process({"reader": [Reads("get", 2), Reads("get")]})
    user = Process({"user": [Forgets("get")]})
    assert SharedScenario({"A": reader, "B": user}).explore().schedules > 100


def without(monkeypatch, owner, name, *changes):
    """Exchange pieces of a function's text for others."""
    function = getattr(owner, name)
    text = textwrap.dedent(inspect.getsource(function))
    for piece, other in changes:
        assert text.count(piece) == 1, f"{name} has changed: adapt what is taken out of it"
        text = text.replace(piece, other)
    place = f"<{name} without {changes[0][0]}>"
    linecache.cache[place] = len(text), None, text.splitlines(keepends=True), place
    space = dict(function.__globals__)
    flags = annotations.compiler_flag
    exec(compile(text, place, "exec", flags), space)
    monkeypatch.setattr(owner, name, space[name])


def script(monkeypatch, exchanged, function):
    """Have the server do something else for a script."""
    monkeypatch.setitem(server.SCRIPTS, exchanged.sha, function)


# What is taken out, and the program that misses it.


def no_fence(monkeypatch):
    script(monkeypatch, START, lambda there, keys, given: 1)


def a_plain_fence(monkeypatch):
    def start(there, keys, given):
        there.put(keys[0], b"W" + given[0] + b"=%d;" % (there.now + int(given[2])), int(given[2]))
        return 1

    def end(there, keys, given):
        there.remove(keys[0])
        return 1

    script(monkeypatch, START, start)
    script(monkeypatch, END, end)


def a_counter(monkeypatch):
    def create(there, keys, given):
        if there.get(keys[0]) is None:
            there.put(keys[0], b"T" + b"%016d" % 1)
        return 1

    def end(there, keys, given):
        # As a counter is made another: it is remembered beside the list.
        there.put(keys[0], b"T" + b"%016d" % (int(there.get(b"counter") or 1) + 1))
        there.put(b"counter", there.get(keys[0])[1:])
        return 1

    script(monkeypatch, CREATE, create)
    script(monkeypatch, END, end)


def an_unlisted_end_deletes(monkeypatch):
    def end(there, keys, given):
        others = server._Writers(there, keys[0], given[0]).others
        listed = given[0] in (there.get(keys[0]) or b"")
        there.remove(keys[0])
        if listed and others:
            server._fence(there, keys[0], others)
        return 1

    script(monkeypatch, END, end)


def expiry_of_the_last_starter(monkeypatch):
    start = server._start

    def shorter(there, keys, given):
        start(there, keys, given)
        return there.last(keys[0], int(given[2]))

    script(monkeypatch, START, shorter)


def a_token_is_used_again(monkeypatch):
    without(monkeypatch, consulting, "consult", (", not making)", ", True)"))


def no_random_tokens(monkeypatch):
    monkeypatch.setattr(reading, "fresh_token", lambda: b"T" + bytes(16))


LOOK = "seen = yield Ask(tier, reading.entry, reading.look())\n"


def generations_read_at_the_store(monkeypatch):
    seal = "entry = tier.sealer.seal(reading.entry, header, written.payload)\n"
    now = "                header = reading.judge(*seen, tier.sealer).header or header\n"
    without(monkeypatch, landing, "landed", (seal, f"{LOOK}{now}                {seal}"))
    monkeypatch.setattr(loading, "landed", landing.landed)


def replication_id_read_at_the_store(monkeypatch):
    seal = "entry = tier.sealer.seal(reading.entry, header, written.payload)\n"
    now = "                header = header[:3] + seen[1] + header[23:]\n"
    without(monkeypatch, landing, "landed", (seal, f"{LOOK}{now}                {seal}"))
    monkeypatch.setattr(loading, "landed", landing.landed)


def no_replication_id(monkeypatch):
    judge = reading.Reading.judge
    served = reading.Reading.served
    nobody = bytes(20)
    monkeypatch.setattr(
        reading.Reading, "judge", lambda self, seen, _, sealer: judge(self, seen, nobody, sealer)
    )
    monkeypatch.setattr(
        reading.Reading, "served", lambda self, seen, _, sealer: served(self, seen, nobody, sealer)
    )


def no_end(monkeypatch):
    script(monkeypatch, END, lambda there, keys, given: 1)


def a_token_survives_an_end(monkeypatch):
    def end(there, keys, given):
        if there.get(keys[0]) is not None and there.get(keys[0])[:1] == b"W":
            return server._end(there, keys, given)
        return 1

    script(monkeypatch, END, end)


def rules_are_not_left(monkeypatch):
    def create(there, keys, given):
        if there.get(keys[0]) is None:
            there.put(keys[0], given[0] + given[1])
        return 1

    script(monkeypatch, CREATE, create)


def unknown_rules_are_let_be(monkeypatch):
    monkeypatch.setattr(server, "_known", lambda there, method, rule: None)


def joined_without_a_look(monkeypatch):
    without(monkeypatch, loading, "_holds", ("if lease is None:", "if True:"))


def a_lease_survives_forgetting(monkeypatch):
    without(
        monkeypatch,
        operations.Shared,
        "forget",
        ('(b"DEL", reading.lease)', '(b"EXISTS", reading.lease)'),
    )


def trusted_all_the_same(monkeypatch):
    monkeypatch.setattr(operations.Shared, "begin", staticmethod(begin_without_trust))


def begin_without_trust(plan, table, values, me):
    known = consulting.named(plan, table, values, me)
    if known is None:
        return None
    return operations.flow.Ask(table.tier, known.entry, known.look()), known


def not_polled_before_a_hit(monkeypatch):
    without(monkeypatch, tiered.Tiered, "begin", ("links.quiet()", "True"))


def the_sequence_is_not_noted_first(monkeypatch):
    without(monkeypatch, nearby.LocalTable, "keep", ("self.heard != note.heard", "False"))


def nobody_is_to_hear_of_it(monkeypatch):
    without(monkeypatch, spreading, "spread", (" or count[1]:", ":"))
    monkeypatch.setattr(fences, "spread", spreading.spread)


FORGOTTEN_MEANWHILE = SharedScenario(
    {
        "A": Process({"reader": [Reads("get")]}),
        "B": Process({"writer": [Writes("set")]}),
        "C": Process({"user": [ForgetsAll("get")]}),
    },
)
OVERTAKEN = SharedScenario(
    {
        "A": Process({"reader": [Reads("get")]}),
        "B": Process({"user": [Writes("set"), Reads("get"), Reads("get")]}),
    },
    strict=False,
)


def program(name, strict=True):
    """A program that is shipped; where it is not strict, only what readers are given counts."""
    kept = SHARED_PROGRAMS[name].scenario
    return replace(kept, strict=kept.strict and strict)


MUTANTS = [
    (no_fence, program("killed-writer", strict=False)),
    (no_fence, program("failing-write")),
    (a_plain_fence, program("overlapping-writes")),
    (a_counter, program("lost-generation")),
    (an_unlisted_end_deletes, program("repeated-end")),
    (expiry_of_the_last_starter, program("unequal-fences")),
    (a_token_is_used_again, program("lost-reply")),
    (no_random_tokens, program("failing-write")),
    (generations_read_at_the_store, OVERTAKEN),
    (replication_id_read_at_the_store, program("failover")),
    (no_replication_id, program("failover")),
    (no_end, program("outage")),
    (a_token_survives_an_end, program("outage")),
    (rules_are_not_left, program("unknown-rule", strict=False)),
    (unknown_rules_are_let_be, program("unknown-rule")),
    (joined_without_a_look, program("forget")),
    (a_lease_survives_forgetting, program("forget")),
    (trusted_all_the_same, program("outage")),
    (not_polled_before_a_hit, program("local")),
    (the_sequence_is_not_noted_first, program("local-writer")),
    (nobody_is_to_hear_of_it, program("local-forgotten")),
    (an_unlisted_end_deletes, FORGOTTEN_MEANWHILE),
]


@pytest.mark.parametrize(
    ("mutant", "scenario"), MUTANTS, ids=[f"{i}-{m.__name__}" for i, (m, _) in enumerate(MUTANTS)]
)
def test_a_safeguard_taken_out_is_missed(monkeypatch, mutant, scenario):
    """Without any one of the protocol's safeguards there is a schedule that breaks the promise."""
    mutant(monkeypatch)
    with pytest.raises(PromiseBroken) as caught:
        scenario.explore()
    assert len(caught.value.schedule) < 40


def test_the_command(capsys):
    """The command explores the programs of the shared tier where it is asked to, and lists them."""
    assert main(["--shared", "failing-write"]) == 0
    assert "schedules" in capsys.readouterr().out
    assert main(["--shared", "--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(SHARED_PROGRAMS)
    with pytest.raises(SystemExit, match="2"):
        main(["--shared", "one-key"])


def test_what_is_rare_is_reached(monkeypatch):
    """Processes are killed, waited for and refused, and keepers deliver: all of it is seen."""
    seen = set()
    tell = Network.tell

    def telling(network, what):
        seen.add(re.sub(r" p:.*", "", what))
        tell(network, what)

    monkeypatch.setattr(Network, "tell", telling)
    for name in ("killed-reader", "outage", "lost-start"):
        SHARED_PROGRAMS[name].scenario.explore()
    assert {
        "kills A",
        "waits for the load of get(1) elsewhere",
        "cannot send START",
        "cannot send END",
        "gets no reply",
        "is given version 1 of get(1)",
    } <= seen


def test_a_cache_that_is_in_use_meanwhile_goes_on(spawn):
    """What other threads do while a program is explored has time and chance as they are."""

    def use():
        leases = {lease.lease_of(b"header") for _ in range(3)}
        return leases, reading.fresh_token(), keeper.monotonic()

    with modelled():
        before = time.monotonic()
        (leases, token, now), other = spawn(use).result(), spawn(use).result()
    assert before <= now <= other[2] <= time.monotonic()
    assert len(leases | other[0]) == 6
    assert token != other[1]
