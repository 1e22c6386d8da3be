"""What a hit runs: the same, whatever else a policy could have asked for."""

from typing import Any

import pytest

import pussycache
from pussycache import Cached, compile
from pussycache.engine.entry import Entry, Tended

PLAIN = """\
def method(_pcself, /, a, b=_pcd_b):
    try:
        _pce = _pcself._pussycache_t0.entries[(a, b, type(a), type(b), )]
        if _pce.expires > now():
            _pce.hits += 1
            return _pce.value
    except Exception:
        pass
    _pcv = (a, b, )
    _pct = _pcself._pussycache_t0
    return _pcrun(_pcplan, _pct, _pcself._pussycache_target, _pcgetattr(\
_pcself._pussycache_target, _pcname), _pcv, KNOWN)
"""
KEY = "(a, b, type(a), type(b), ) if type(a) in _pcatoms and type(b) in _pcatoms else None"


def generated(monkeypatch: pytest.MonkeyPatch, said: Cached) -> str:
    """Return the source of the function that stands for a method."""
    texts = []
    made = compile.made

    def recorded(text: str, *args: Any) -> Any:
        texts.append(text)
        return made(text, *args)

    class Target:
        def read(self, a: Any, b: Any = 2) -> Any:
            return a

    monkeypatch.setattr(compile, "Hit", None)
    monkeypatch.setattr(compile, "made", recorded)
    pussycache.wrap(Target(), cached_methods={"read": said})
    monkeypatch.undo()
    return next(text for text in texts if text.startswith("def method") and "run(" in text)


def test_without_policies_the_source_is_what_it_was(monkeypatch):
    """A method with a ttl alone is answered by these very lines."""
    assert generated(monkeypatch, Cached(ttl=60)) == PLAIN.replace("KNOWN", KEY)


@pytest.mark.parametrize(
    "said",
    [{"stale_for": 5}, {"stale_if_error": 5}, {"refresh_ahead": 0.8}],
    ids=lambda said: next(iter(said)),
)
def test_old_values_cost_a_hit_nothing(said, monkeypatch):
    """Where old values may be served, a hit on a good one runs the same lines."""
    assert generated(monkeypatch, Cached(ttl=60, **said)) == PLAIN.replace("KNOWN", "None")


def test_idle_ttl_adds_the_note_of_the_use_alone(monkeypatch):
    """With idle_ttl a hit takes the time once and notes it."""
    wanted = PLAIN.replace("KNOWN", "None")
    wanted = wanted.replace("        if _pce", "        _pcn = now()\n        if _pce")
    wanted = wanted.replace("> now():\n", "> _pcn:\n            _pce.used = _pcn\n")
    assert generated(monkeypatch, Cached(ttl=60, idle_ttl=5)) == wanted


class Target:
    def read(self, a: Any) -> Any:
        return a


def test_the_extension_is_told_the_same(monkeypatch):
    """Only idle_ttl asks the compiled hit for anything that it was not asked for before."""
    told: list[dict[str, Any]] = []

    class Told(Exception):
        pass

    def hit(function: Any, **said: Any) -> Any:
        told.append(said)
        raise Told

    monkeypatch.setattr(compile, "Hit", hit)
    for said in (
        {},
        {"stale_for": 5},
        {"stale_if_error": 5},
        {"refresh_ahead": 1},
        {"idle_ttl": 5},
    ):
        with pytest.raises(Told):
            pussycache.wrap(Target(), cached_methods={"read": Cached(ttl=60, **said)})
    assert told[0]["entry_type"] is Entry
    assert "idle" not in told[0]
    assert told[1:4] == [told[0]] * 3
    assert told[4] == {**told[0], "entry_type": Tended, "idle": True}
