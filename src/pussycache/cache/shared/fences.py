"""A write as the server is told of it: before it begins, meanwhile, and when it has ended.

The order of things in the whole of a write is said in engine/writes.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.authors import signed
from pussycache.cache.shared.loosely import loosely
from pussycache.cache.shared.raised import Raised, Target
from pussycache.cache.shared.spreading import heard, spread
from pussycache.cache.shared.unique import unique
from pussycache.engine.asking import Ask
from pussycache.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pussycache.cache.shared.places import Places
    from pussycache.cache.shared.tier import Tier
    from pussycache.cache.wire import Packed
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence

__all__ = ["lifting", "raising", "replacing", "targets_of"]

_NOBODY: Final = b"nobody"
"""The writer of a write that is in no list."""
_MOST: Final = 100


def targets_of(places: Places, fence: Fence) -> tuple[Target, ...]:
    """Return the generations that a write of one method makes others."""
    # Which entries a rule matches that needs the result is not known yet: it is all of them.
    if not fence.names or fence.values is None:
        return places.targets
    try:
        values = [loosely(value) for value in fence.values]
    except Exception:
        # What cannot be told apart may be equal to anything: then all is made wrong.
        return places.targets
    rule = ",".join(fence.names).encode()
    return tuple(
        [
            Target(made, bucket.generation, bucket.told_at(made), rule, bucket.rules)
            for bucket in places.buckets
            for made in [bucket.rule(rule, value) for value in values]
        ]
    )


def raising(
    tier: Tier, targets: tuple[Target, ...], cause: Cause, at_end: tuple[Target, ...] = ()
) -> Generator[Ask, Any, Raised]:
    """Begin a write in the server.

    :param at_end: generations that are made others at the end only.
    :raises BackendUnavailable: if the server does not answer, and the cache refuses to write then.
    """
    raised = Raised(unique(), targets, at_end, signed(cause))
    told = False
    try:
        for key, commands in tier.together(raised.start(tier.fence_ms)):
            seen = yield Ask(tier, key, commands)
            if not tier.has_done(seen):
                if tier.refuses:
                    # What has been raised lapses.
                    told = True
                    raise BackendUnavailable(
                        f"{cause.method} was not called: the shared store cannot be told of it; "
                        "call it again later, or make the cache with on_outage='queue'"
                    )
                break
        told = True
    finally:
        if not told:
            # Interrupted: what has been raised is lifted.
            tier.put_off(raised)
    tier.keeper.keep(raised)
    return raised


def replacing(tier: Tier, targets: tuple[Target, ...], cause: Cause) -> Generator[Ask, Any, None]:
    """Do what a write does that begins and ends at once: make generations others, in this order.

    Nothing happens between its beginning and its end, so there is nothing to fence.

    :raises BackendUnavailable: if the server does not answer, and the cache refuses to write then.
    """
    author = signed(cause)
    told = False
    try:
        for key, commands in _at_once(tier, targets, author):
            seen = yield from spread(tier, key, commands)
            if not tier.has_done(seen):
                if tier.refuses:
                    told = True
                    raise BackendUnavailable(
                        f"{cause.method} has not forgotten everything: the shared store does not "
                        "answer; call it again later, or make the cache with on_outage='queue'"
                    )
                return
        told = True
    finally:
        # Also when it is interrupted.
        if not told:
            tier.put_off(Raised(unique(), targets, author=author))


def _at_once(
    tier: Tier, targets: tuple[Target, ...], author: bytes
) -> Sequence[tuple[bytes, Packed]]:
    """Return what replaces generations: for one author always the same, which is kept packed."""
    found = tier.replacements.get((targets, author))
    if found is None:
        raised = Raised(_NOBODY, targets, author=author)
        found = [(key, heard(tier, some)) for key, some in tier.together(raised.end())]
        if len(tier.replacements) >= _MOST:
            tier.replacements = {}
        tier.replacements[targets, author] = found
    return found


def lifting(tier: Tier, raised: Raised) -> Generator[Ask, Any, None]:
    """End a write in the server; what cannot be delivered now stays pending."""
    tier.keeper.let_go(raised)
    delivered = False
    try:
        for key, commands in tier.together(raised.end()):
            seen = yield Ask(tier, key, commands)
            if not tier.has_done(seen):
                return
        delivered = True
    finally:
        # Also when it is interrupted.
        if not delivered:
            tier.put_off(raised)
