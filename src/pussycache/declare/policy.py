"""How one method is remembered: `Cached`, and the meaning of durations.

Says what was asked for; doing it is the engine's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from pussycache.declare.records import record
from pussycache.declare.templates import declared_tags
from pussycache.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, TypeAlias

    from pussycache.types import Seconds, Ttl

__all__ = ["Cached", "CachedMethods", "declared", "seconds", "seconds_left"]


def seconds(
    value: object,
    what: str,
    remedy: str = "0 stores nothing, math.inf keeps for ever",
    kinds: str = "a number of seconds or a timedelta",
) -> float:
    """Return a duration as seconds, or say which argument (``what``) is none."""
    if not isinstance(value, (int, float)):
        # Asked for only here: most programs have their durations in seconds.
        from datetime import timedelta

        if isinstance(value, timedelta):
            value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{what} must be {kinds}, not {value!r}")
    number = float(value)
    if math.isnan(number):
        raise ConfigurationError(f"{what} must be a number of seconds, not {value!r}")
    if number < 0:
        raise ConfigurationError(f"{what} must not be negative, it is {value!r}; {remedy}")
    return number


def _some_time(value: object, what: str, remedy: str) -> float:
    number = seconds(value, what, remedy)
    if not number:
        raise ConfigurationError(f"{what} must be more than 0; {remedy}")
    return number


class _Errors(dict[type[Exception], float]):
    """Seconds by exception type; hashable, as a declaration has to be."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _errors(said: object) -> _Errors:
    if not isinstance(said, Mapping):
        raise ConfigurationError(
            f"errors must be a mapping from exception types to seconds, not {said!r}; "
            "write errors={LookupError: 5}"
        )
    for kind in said:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            raise ConfigurationError(
                f"errors must have exception types as keys, not {kind!r}; "
                "name subclasses of Exception"
            )
    remedy = "0, or leaving it out, remembers nothing"
    return _Errors(
        {
            kind: seconds(lasting, f"errors[{kind.__qualname__}]", remedy)
            for kind, lasting in said.items()
        }
    )


def _fraction(value: object, what: str, remedy: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigurationError(
            f"{what} must be a fraction between 0 and 1, not {value!r}; {remedy}"
        )
    return float(value)


def seconds_left(answer: object, method: str) -> float | None:
    """Return how long a result is good, from what a ``ttl`` callable said of it.

    A moment (an aware `datetime`) is turned into a duration at once: the wall clock is asked this
    one time and never decides an expiry afterwards.
    """
    if answer is None:
        return None
    from datetime import UTC, datetime, timedelta

    if isinstance(answer, datetime):
        if answer.tzinfo is None:
            raise ConfigurationError(
                f"the ttl callable of {method!r} returned {answer!r}, a datetime without a "
                "time zone; return an aware one, such as datetime.now(timezone.utc) + ..."
            )
        return max(0.0, (answer - datetime.now(UTC)).total_seconds())
    if isinstance(answer, timedelta):
        return max(0.0, answer.total_seconds())
    return seconds(answer, f"what the ttl callable of {method!r} returns")


@record
class Cached:
    """How the results of one method are remembered.

    :param ttl: seconds (or a `timedelta`) that a result is good; `None` for the cache's own,
        `math.inf` for ever; or a callable that is given the result and returns seconds, a
        `timedelta` or the aware `datetime` until which it is good. ``0``, or a moment past, stores
        nothing.
    :param idle_ttl: seconds after its last use that a result is forgotten, where that comes before
        the end of its ttl.
    :param jitter: a fraction, default 0, by which ttls are shortened at random, so that what was
        stored together does not expire together: ``0.1`` makes 60 seconds 54 to 60.
    :param stale_for: seconds after the ttl in which callers are given the old value at once, while
        one load in the background renews it; after them, callers wait.
    :param stale_if_error: seconds after the ttl in which callers are given the old value if the
        load raises. Between attempts lies a pause: 0.1 seconds, doubled up to 10.
    :param refresh_ahead: the fraction of the ttl after which a hit starts a load in the background
        that renews the value. Where loads are slow, it may begin earlier by chance.
    :param timeout: seconds that a caller waits for a load. Then it is given the old value where
        ``stale_for`` or ``stale_if_error`` allow one, else a `LoadTimeout` is raised; the load goes
        on in the background, and its result is stored.
    :param errors: a mapping from exception types to seconds: a load that raises one is not tried
        again for so long; callers are raised a copy. The nearest type in the exception's own line
        counts. Default: no exception is remembered.
    :param when: given the result, says whether to store it.
    :param key: has the method's parameters; what it returns replaces the arguments in the key.
    :param ignore: names of parameters that are no part of the key.
    :param tags: templates over the arguments (``"user:{user_id}"``), or a callable that is given
        the result and the arguments and returns strings. Results with a tag are forgotten by
        `forget_tag` and `ForgetTag`. Makes a hit slower.
    :param each: the name of a parameter that is a collection of ids, of a method that returns a
        mapping by id: results are remembered per id, and one call loads those that are missing. All
        other fields are then said of the result of one id; ``key`` and ``tags`` are given the one
        id in the place of the collection.
    :param item: with ``each``, the name of a method for one id that shares these results. Then
        ``tags`` are said of that, ``idle_ttl`` of both alike, and ``key``, ``ignore`` and
        ``materialize`` of neither.
    :param copy: ``"share"`` hands every caller the same object, ``"deep"`` a deep copy; or a
        callable that copies.
    :param guard: detect that a value was changed in place after it was stored: it is forgotten,
        loaded anew, and a `MutatedValueWarning` says which method returned it. Makes a hit slower;
        meant for tests.
    :param verify: the fraction of hits, default 0, that are recomputed in the background and
        compared by ``!=``. Disagreements are counted (see `CacheInfo`) and logged, and the new
        value is remembered. Makes every hit slower.
    :param materialize: store what a returned iterator yields, and give every caller a fresh one.
    :raises ConfigurationError: for a negative duration or a field of the wrong kind.

    >>> import pussycache
    >>> class Users:
    ...     def find(self, name):
    ...         return None if name == "nobody" else name.title()
    >>> users = pussycache.wrap(
    ...     Users(),
    ...     cached_methods={"find": pussycache.Cached(ttl=60, when=lambda user: user is not None)},
    ... )
    >>> users.find("ada"), users.find("nobody")
    ('Ada', None)
    >>> pussycache.peek(users.find, "nobody")
    MISSING
    """

    ttl: Ttl = None
    idle_ttl: Seconds | None = None
    jitter: float = 0.0
    stale_for: Seconds | None = None
    stale_if_error: Seconds | None = None
    refresh_ahead: float | None = None
    timeout: Seconds | None = None
    errors: Mapping[type[Exception], Seconds] | None = None
    when: Callable[[Any], object] | None = None
    key: Callable[..., Any] | None = None
    ignore: tuple[str, ...] = ()
    tags: tuple[str, ...] | Callable[..., Iterable[str]] = ()
    each: str | None = None
    item: str | None = None
    copy: str | Callable[[Any], Any] = "share"
    guard: bool = False
    verify: float = 0.0
    materialize: bool = False

    def __post_init__(self) -> None:
        if self.ttl is not None and not callable(self.ttl):
            object.__setattr__(self, "ttl", seconds(self.ttl, "ttl"))
        for name in ("stale_for", "stale_if_error"):
            value = getattr(self, name)
            if value is not None:
                said = seconds(value, name, "None, the default, serves nothing that is old")
                object.__setattr__(self, name, said)
        if self.idle_ttl is not None:
            idle = _some_time(self.idle_ttl, "idle_ttl", "None keeps what is not used")
            object.__setattr__(self, "idle_ttl", idle)
        object.__setattr__(self, "jitter", _fraction(self.jitter, "jitter", "0 spreads nothing"))
        if self.refresh_ahead is not None:
            ahead = _fraction(self.refresh_ahead, "refresh_ahead", "None refreshes nothing ahead")
            object.__setattr__(self, "refresh_ahead", ahead)
        if self.timeout is not None:
            timeout = _some_time(self.timeout, "timeout", "None waits for as long as it takes")
            object.__setattr__(self, "timeout", timeout)
        object.__setattr__(self, "verify", _fraction(self.verify, "verify", "0 verifies nothing"))
        if self.errors is not None:
            object.__setattr__(self, "errors", _errors(self.errors))
        for name in ("when", "key"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ConfigurationError(f"{name} must be callable, not {value!r}")
        object.__setattr__(self, "ignore", _names(self.ignore))
        object.__setattr__(self, "tags", declared_tags(self.tags))
        if self.copy not in ("share", "deep") and not callable(self.copy):
            raise ConfigurationError(
                f"copy must be 'share', 'deep' or a callable that copies, not {self.copy!r}"
            )
        for name in ("guard", "materialize"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigurationError(f"{name} must be True or False, not {value!r}")
        self._check_each()
        if self.key is not None and self.ignore:
            raise ConfigurationError(
                "key and ignore exclude one another: leave the parameters out in key"
            )

    def _check_each(self) -> None:
        for name in ("each", "item"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{name} must be a name, not {value!r}")
        if self.item is not None and self.each is None:
            raise ConfigurationError(
                "item goes with each: name the parameter that is a collection of ids, as each="
            )
        if self.each is None:
            return
        if self.item is not None and self.tags:
            raise ConfigurationError(
                f"tags of a batch whose results are those of {self.item!r}: say them there, and "
                "the results of both carry them"
            )
        if self.each in self.ignore:
            raise ConfigurationError(f"ignore names {self.each!r}, and so does each: leave it out")


CachedMethods: TypeAlias = "Iterable[str] | Mapping[str, Cached | float | int | timedelta | None]"
"""Names, or a mapping from a name to a `Cached` or a ttl in seconds."""


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigurationError(
            f"ignore must be a list of parameter names, not the string {value!r}; "
            f"write ignore=[{value!r}]"
        )
    try:
        names: tuple[Any, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigurationError(
            f"ignore must be a list of parameter names, not {value!r}"
        ) from None
    for name in names:
        if not isinstance(name, str):
            raise ConfigurationError(f"ignore must hold names of parameters, not {name!r}")
    return names


def declared(cached_methods: CachedMethods) -> dict[str, Cached]:
    """Return the policy of each method, from any form that ``cached_methods`` may have."""
    if isinstance(cached_methods, (str, bytes)):
        raise ConfigurationError(
            f"cached_methods must be a list of method names, not the string {cached_methods!r}; "
            f"write cached_methods=[{cached_methods!r}]"
        )
    if isinstance(cached_methods, Mapping):
        return {_name(name): _policy(name, said) for name, said in cached_methods.items()}
    try:
        names = list(cached_methods)
    except TypeError:
        raise ConfigurationError(
            "cached_methods must be a list of method names or a mapping from names to policies, "
            f"not {cached_methods!r}"
        ) from None
    return {_name(name): Cached() for name in names}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise ConfigurationError(f"cached_methods must hold names of methods, not {name!r}")
    return name


def _policy(name: str, said: Any) -> Cached:
    if isinstance(said, Cached):
        return said
    if said is None:
        return Cached()
    kinds = "a Cached(...), a number of seconds or a timedelta"
    return Cached(ttl=seconds(said, f"cached_methods[{name!r}]", kinds=kinds))
