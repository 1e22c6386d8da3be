"""Whose fault a difference is: the two methods that the declaration does not join, and the remedy.

How the difference was found is not said here.
"""

from __future__ import annotations

from typing import NamedTuple

from pussycache.declare.templates import ForgetTag
from pussycache.testing.calls import MethodCall
from pussycache.testing.trial import Difference, Trial

__all__ = ["Blame", "blame", "overlapped", "too_late"]


class Blame(NamedTuple):
    """The call that made a later one wrong, where it is known, and what to do about it."""

    write: MethodCall | None
    remedy: str


async def blame(trial: Trial, found: Difference) -> Blame:
    """Return what made the last call of a history wrong.

    The stale answer was right when it was loaded: the call sought is the first one after that at
    which a bare object's answer becomes another.
    """
    read, before = found.read, found.history[:-1]
    if read.name not in [call.name for call in before if call.name in trial.declaration.cached]:
        return _skipped(trial, read, before)
    loaded = None
    for place in reversed([i for i, call in enumerate(before) if call.name == read.name]):
        then, bare = await trial.answers(before[:place], read)
        if trial.same(read, then, found.got, (bare, found.got.value)):
            loaded = place
            break
    if loaded is None:
        return _mixed(read, before)
    for place in range(loaded, len(before)):
        now, bare = await trial.answers(before[: place + 1], read)
        if not trial.same(read, now, found.got, (bare, found.got.value)):
            break
    return Blame(before[place], _undeclared(trial, before[place], read))


def _undeclared(trial: Trial, write: MethodCall, read: MethodCall) -> str:
    declaration = trial.declaration
    wrong = f"{write} made {read} wrong"
    if write.name in declaration.cached:
        return (
            f"{wrong}: {write.name!r} is cached, but it also writes, and a call that is answered "
            f"from memory writes nothing; {declaration.to_drop(write.name)}, and declare it as a "
            "write"
        )
    add = declaration.to_add(write.name, read.name)
    if write.name not in declaration.writes:
        return f"{wrong}: {write.name!r} is not declared as a write; {add}"
    said = declaration.said(write.name)
    rules = declaration.naming(write.name, read.name)
    if not rules:
        return f"{wrong}: {said} does not name {read.name!r}; {add}"
    if all(isinstance(rule, ForgetTag) or rule.mapped for rule in rules):
        return (
            f"{wrong}: {said} names {read.name!r} only for calls that match, and this one does "
            f"not; {add}, without arguments, or a rule that matches"
        )
    return too_late(trial, write, read)


def too_late(trial: Trial, write: MethodCall, read: MethodCall) -> str:
    """Return what to do where a write makes a call wrong when it has returned already."""
    declaration = trial.declaration
    if not declaration.naming(write.name, read.name):
        return _undeclared(trial, write, read)
    return (
        f"{write} made {read} wrong, although {declaration.said(write.name)} names "
        f"{read.name!r}: what it changed, it changed after it had returned; let it wait for the "
        "thread or task that does the work, or make the block that ends the work a write, with "
        "pussycache.writing"
    )


def overlapped(trial: Trial, write: MethodCall, read: MethodCall) -> str:
    """Return what to do where a call is wrong after a load and a write that overlapped."""
    if not trial.declaration.naming(write.name, read.name):
        return _undeclared(trial, write, read)
    return (
        f"{read} was wrong after {write} had returned, although "
        f"{trial.declaration.said(write.name)} names {read.name!r}: either the object goes on "
        "changing it, or this library breaks its promise; then please report this history"
    )


def _skipped(trial: Trial, read: MethodCall, before: tuple[MethodCall, ...]) -> Blame:
    suspects = [call for call in before if call.name in trial.declaration.cached]
    repeated = [call for place, call in enumerate(suspects) if call in suspects[:place]]
    if not suspects:
        return Blame(None, f"{read} was answered otherwise although nothing was remembered of it")
    guilty = (repeated or suspects)[-1]
    return Blame(
        guilty,
        f"{guilty} is cached, but it also writes: a call that is answered from memory does not do "
        f"what {read} depends on; {trial.declaration.to_drop(guilty.name)}",
    )


def _mixed(read: MethodCall, before: tuple[MethodCall, ...]) -> Blame:
    other = [call for call in before if call.name == read.name][-1]
    return Blame(
        other,
        f"{read} was answered with what {other} had left: the key= or ignore= of "
        f"cached_methods[{read.name!r}] leaves out an argument that matters",
    )
