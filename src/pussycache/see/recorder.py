"""What is remembered of the calls of an observed object: bounded, whatever the calls are.

Of arguments and results only numbers are kept. How a call comes here is said in watchers.py, what
is made of the figures in advisor.py.
"""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pussycache.cache.forks import watch_writers
from pussycache.cache.weights import size_of
from pussycache.declare.keys import ATOMS, Unkeyable
from pussycache.engine.clock import read
from pussycache.engine.keeping import one_shot
from pussycache.engine.logs import log_failure
from pussycache.see.ages import Ages
from pussycache.see.changes import Before, Changes, Some
from pussycache.see.fingerprints import Links, Numbers, fingerprint
from pussycache.see.shards import Reuse
from pussycache.see.values import digest

if TYPE_CHECKING:
    from pussycache.declare.signatures import Method

__all__ = ["Call", "Recorder", "Watch"]

_KEYS: Final = 16_384
"""Of each method, the keys of which is followed how far apart their uses are."""
_WATCHED: Final = 1_024
"""Of these, the keys whose results are looked at."""
_PASSED: Final = 256
"""Of each method, the latest calls of which numbers of arguments are kept."""
_SIZES: Final = 64
_TIMES: Final = 512

# Links of arguments that are passed again and again by chance: none, or not plain.
_COMMON: Final = frozenset({None, hash(None)})

# Looking at a method's results may take so long at first, and then so long a call, or a part of the
# method's own time.
_GRACE: Final = 0.02
_A_CALL: Final = 0.4e-6
_SHARE: Final = 0.01


class Watch:
    """What is known of the calls of one method."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.name = method.name
        self.calls = 0
        self.failures = 0
        self.seconds = 0.0
        self.looking = 0.0
        self.unkeyable = 0
        self.once = 0
        self.itself = 0
        self.nothing = 0
        self.looked = 0
        self.unknown = 0
        # One for each call under way.
        self.running: list[None] = []
        # The number of the recorder's when a call last ended.
        self.last = 0
        self.reuse = Reuse(_KEYS)
        self.ages = Ages(_WATCHED)
        self.changes = Changes()
        self.times: Some[float] = Some(_TIMES)
        self.sizes: Some[int] = Some(_SIZES)
        # The numbers of calls, and of what was passed.
        self.passed: deque[tuple[int, Links]] = deque(maxlen=_PASSED)


Call: TypeAlias = tuple[float, int, int | None, Links, Any]
"""A call under way: when it began, and how many calls had ended by then; its key, `None` if it
could not be cached; links of its arguments; and the object. A record would cost more than all this.
"""


class Recorder:
    """The calls of all methods of an object, or of all objects of a class."""

    def __init__(self, label: str) -> None:
        self.label = label
        # Reentrant: a finalizer may run while the lock is held, and call the object.
        self.lock = RLock()
        self.watches: dict[str, Watch] = {}
        self.numbers = Numbers()
        self.began = read()
        self.lost = 0
        self._busy = False
        self._count = 0
        watch_writers(self)

    def watch(self, method: Method) -> Watch:
        """Return what is known of a method; nothing is, at first."""
        with self.lock:
            return self.watches.setdefault(method.name, Watch(method))

    def forget_others(self) -> None:
        """Forget the calls that run in threads that are not here: see cache/forks.py."""
        self.lock = RLock()
        self._busy = False
        for watch in list(self.watches.values()):
            watch.running.clear()

    def begin(self, watch: Watch, target: Any, bind: Any, args: Any, kwargs: Any) -> Call:
        """Note that a call begins; never raises."""
        key: int | None = None
        passed: Links = ()
        try:
            # Before the method can change its arguments.
            if bind is not None:
                key, passed = fingerprint(bind(*args, **kwargs), target, self.numbers)
        except Unkeyable:
            watch.unkeyable += 1
        except Exception:
            # Arguments that do not fit: the method will say so. Or a hash of somebody's that fails.
            pass
        # The lock is not needed for it, nor for the count: it may be too low, and never too high.
        watch.running.append(None)
        return read(), self._count, key, passed, target

    def end(self, watch: Watch, call: Call, result: object = None, failed: bool = False) -> None:
        """Note that a call has ended; never raises."""
        ended = read()
        began, _, key, passed, _ = call
        taken = ended - began
        with self.lock:
            watch.last = self._count = self._count + 1
            watch.running.pop()
            watch.calls += 1
            watch.seconds += taken
            if self._busy:
                self.lost += 1
                return
            self._busy = True
            try:
                if passed:
                    watch.passed.append((self._count, passed))
                if failed:
                    watch.failures += 1
                if key is not None:
                    distance = watch.reuse.use(key, not failed)
                    # What is in the smaller sample is in the larger one, too.
                    if distance is not None and key < watch.ages.sample.limit:
                        self._note(watch, call, key, distance, ended, result, failed)
            except Exception as error:
                if not self.lost:
                    log_failure(f"observing {watch.name}", error)
                self.lost += 1
            finally:
                self._busy = False

    def _note(
        self,
        watch: Watch,
        call: Call,
        key: int,
        distance: float,
        ended: float,
        result: object,
        failed: bool,
    ) -> None:
        ages = watch.ages
        known = ages.keys.get(key)
        began, number = call[:2]
        if known is None:
            if not failed:
                ages.enter(key, self._look(watch, call, ended, result), ended, number)
            return
        may_look = watch.looking < _GRACE + _A_CALL * watch.calls + _SHARE * watch.seconds
        if not may_look and began < known.soonest:
            known.quick += 1
            return
        start = read()
        seen = None
        if may_look and not failed:
            seen = self._look(watch, call, ended, result)
            if seen is not None and known.digest is not None:
                since = known.call
                watch.changes.note(
                    seen != known.digest, ended - known.at, lambda: self._before(watch, call, since)
                )
            known.digest, known.at, known.call = seen, ended, number
        ages.use(known, distance, began, ended, seen, not failed)
        watch.looking += read() - start

    def _look(self, watch: Watch, call: Call, ended: float, result: object) -> int | None:
        looked = watch.looked = watch.looked + 1
        if looked < _TIMES or looked % 16 == 0:
            watch.times.add(lambda: ended - call[0])
        if looked < _SIZES or looked % 256 == 0:
            watch.sizes.add(lambda: size_of(None, result))
        if result is None:
            watch.nothing += 1
        elif type(result) not in ATOMS:
            if one_shot(result):
                watch.once += 1
                return None
            if result is call[4]:
                watch.itself += 1
        number = digest(result, call[4])
        if number is None:
            watch.unknown += 1
        return number

    def _before(self, mine: Watch, call: Call, since: int) -> frozenset[Before]:
        """Return what was called since a call of a number, or is running still."""
        found = []
        names = tuple(mine.method.positions)
        own = [pair for pair in zip(names, call[3], strict=False) if pair[1] not in _COMMON]
        for watch in self.watches.values():
            if watch is mine or (watch.last <= since and not watch.running):
                continue
            found.append(Before(watch.name))
            theirs = tuple(watch.method.positions)
            for number, passed in reversed(watch.passed):
                if number <= since:
                    break
                found += [
                    Before(watch.name, (name, other))
                    for name, link in own
                    for other, passed_link in zip(theirs, passed, strict=False)
                    if link == passed_link
                ]
        return frozenset(found)
