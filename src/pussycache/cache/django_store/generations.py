"""Generations in a cache of Django's: tokens that are made with `add`, and fences beside them.

A generation is a register of its own, made of several keys: the token, and a place for the fence of
one writer, of another, and of all others together. It is never read, changed and written back, so
that writers who come at the same moment do not undo what the other has done:

- A writer takes one of the first two places with `add`, and gives it back when it ends. If both are
  taken, it puts its fence into the third, which nobody takes away: it lapses.
- A token is not deleted but put to death: overwritten, and seen to be. What is found to be dead is
  as good as missing.
- A reader looks at the token first, and at the fences then. A writer raises its fence first, and
  puts the token to death then. So a load that has not seen the fence has seen a token that dies.

When all of this is done is said in cache/shared.
"""

from __future__ import annotations

import os
from struct import Struct
from time import time
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.django_store.places import FENCES, name
from pussycache.cache.shared.reading import rules_of
from pussycache.cache.wire.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pussycache.cache.django_store.backend import Backend

__all__ = ["Generations", "names", "token_of"]

_TOKEN: Final = b"T"
_WRITERS: Final = b"W"
_DEAD: Final = b"D"
_FOR_DEAD: Final = 60
"""Seconds for which a token that was put to death stays there, unless a new one is made before."""

_ATTEMPTS: Final = 5

_until: Final = Struct(">d")


def names(key: bytes) -> tuple[str, ...]:
    """Return under which names a generation is kept: its token, and its fences."""
    token = name(key)
    return (token, *[token + fence for fence in FENCES])


def token_of(found: Any) -> bytes | None:
    """Return a token that was found, if it lives."""
    return found if isinstance(found, bytes) and found[:1] == _TOKEN else None


def _is_dead(found: Any) -> bool:
    return isinstance(found, bytes) and found[:1] == _DEAD


class Generations:
    """The generations of one cache."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        # Where the fences of the writers of this process stand.
        self._places: dict[tuple[bytes, bytes], str] = {}

    # What readers do.

    def read(self, key: bytes, found: Mapping[str, Any]) -> bytes | None:
        """Return what a generation is: a token, that writers are at work, or `None`."""
        token, *fences = names(key)
        for fence in fences:
            if self._stands(found.get(fence)):
                return _WRITERS
        return token_of(found.get(token))

    def make(self, key: bytes, token: bytes, seconds: float | None) -> bool:
        """Make a token, unless there is one.

        Where two do so at the same moment and one undoes what the other has done, that one's token
        is dead, and what is loaded under it is not served.
        """
        place = name(key)
        if self._backend.add(place, token, seconds):
            return True
        if not _is_dead(self._backend.get(place)):
            return False
        self._backend.delete(place)
        return self._backend.add(place, token, seconds)

    def create(
        self, key: bytes, rules: bytes, token: bytes, wanted: bytes, seconds: float | None
    ) -> bool:
        """Make the token of a method, which says what its readers have to look at.

        :param rules: the key of the rules of the writers at work.
        """
        known = _joined(wanted, self._noted(rules))
        if not self.make(key, token + known, seconds):
            return False
        if _joined(known, self._noted(rules)) == known:
            return True
        # A writer has come in between, who may have looked before the token was there.
        self.kill(key)
        return False

    def kill(self, key: bytes) -> None:
        """Put a token to death.

        :raises Unreachable: if it cannot be seen to be dead.
        """
        mark = _DEAD + os.urandom(16)
        self._backend.settle(name(key), mark, _FOR_DEAD, _is_dead)

    def replace(self, key: bytes, token: bytes, seconds: float | None) -> None:
        """Make a token another, in one step; never twice: it may have been put to death since.

        :raises Unreachable: if it cannot be seen that it was.
        """
        place = name(key)
        before = self._backend.get(place)
        self._backend.set(place, token, seconds)
        if self._backend.get(place) in (before, None):
            raise Unreachable("closed", "what was set is not there")

    # What writers do.

    def begin(
        self, key: bytes, method: bytes, rules: bytes | None, writer: bytes, rule: bytes, ms: int
    ) -> None:
        """Begin a write, or renew it.

        :param rules: the key of the rules of the writers at work, where there is a rule.
        """
        with self._backend.exclusively():
            if rules is not None:
                self._note(rules, rule, ms)
            if self._raise(key, writer, ms):
                self.kill(key)
        if rule:
            self._tell(method, rule)

    def end(self, key: bytes, method: bytes, writer: bytes, rule: bytes) -> None:
        """End a write; may be repeated."""
        with self._backend.exclusively():
            # First: when the fence is gone, nothing may be there that was stored before.
            self.kill(key)
            place = self._places.pop((key, writer), None)
            if place is not None and place != name(key) + FENCES[-1]:
                found = self._backend.get(place)
                if isinstance(found, bytes) and found[_until.size :] == writer:
                    self._backend.delete(place)
        if rule:
            self._tell(method, rule)

    def _raise(self, key: bytes, writer: bytes, ms: int) -> bool:
        """Raise a fence; false if it stood already and was renewed."""
        backend, lasting = self._backend, self._backend.lasting(ms)
        fence = _until.pack(time() + ms / 1000) + writer
        place = self._places.get((key, writer))
        if place is not None:
            found = backend.get(place)
            if isinstance(found, bytes) and found[_until.size :] == writer:
                backend.settle(place, fence, lasting, self._stands)
                return False
        _, *own, rest = names(key)
        for place in own:
            if backend.add(place, fence, lasting) and backend.get(place) == fence:
                self._places[key, writer] = place
                return True
        # Another's does as well: it came later, and stands longer.
        backend.settle(rest, fence, lasting, self._stands)
        again = self._places.get((key, writer)) == rest
        self._places[key, writer] = rest
        return not again

    def _stands(self, found: Any) -> bool:
        """Whether what was found is a fence."""
        if not isinstance(found, bytes) or len(found) < _until.size:
            return False
        # By a clock of its own, the backend has taken away what has lapsed.
        return not self._backend.by_our_clock or _until.unpack_from(found)[0] > time()

    def _note(self, rules: bytes, rule: bytes, ms: int) -> None:
        """Tell those who make the method's token of a rule, as long as the writer is at work."""
        for _ in range(_ATTEMPTS):
            noted = _joined(self._noted(rules), rule)
            self._backend.set(name(rules), noted, self._backend.lasting(ms))
            # Another with another rule may have come in between.
            if rule in self._noted(rules).split(b";"):
                return
        raise Unreachable("closed", "what was set is not there")

    def _noted(self, rules: bytes) -> bytes:
        found = self._backend.get(name(rules))
        return found if isinstance(found, bytes) else b""

    def _tell(self, method: bytes, rule: bytes) -> None:
        """Have a method forgotten whose readers may not look at a rule."""
        found = self._backend.get(name(method))
        token = token_of(found)
        if token is None:
            # Nothing is there, or nobody has said so: of several servers one may keep silent.
            missing = found is None and not self._backend.in_order
        else:
            missing = _joined(rules_of(token), rule) != rules_of(token)
        if missing:
            self.kill(method)


def _joined(rules: bytes, more: bytes) -> bytes:
    """Return rules as a token says them, with more of them."""
    known = rules.split(b";") if rules else []
    return b";".join([*known, *[rule for rule in more.split(b";") if rule and rule not in known]])
