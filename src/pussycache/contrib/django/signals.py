"""Cached methods that are made wrong by rows: what is saved, deleted or related anew.

Which rows a signal is about is said here; what a write then does is the engine's business.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models import Model
from django.db.models.signals import (
    class_prepared,
    m2m_changed,
    post_delete,
    post_save,
    pre_delete,
    pre_save,
)

from pussycache.compile import Handle
from pussycache.declare.rules import Each, Forget, Match
from pussycache.declare.signatures import Method
from pussycache.engine.writes import Effect, Write
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Values: TypeAlias = dict[str, list[Any]]

__all__ = ["invalidate_on", "touched"]

_BEFORE: Final = "_pussycache_before"


def invalidate_on(
    model: Any, *methods: Callable[..., Any], match: Mapping[str, Any] | None = None
) -> Callable[[], None]:
    """Have calls of cached methods forgotten when a row of a model is written.

    That is when an object is saved or deleted, or when a many-to-many relation from or to it is
    changed. Inside of a transaction it counts when that is committed, as every write does.
    ``bulk_create``, ``bulk_update``, ``update`` and SQL send no signals, nor does a foreign key
    that is set to null because its row was deleted: for these there is `touched`.

    :param model: a model. Its proxies and children count as itself; where a row of its parent is
        saved alone, every call is forgotten.
    :param methods: cached methods of a proxy, or decorated ones.
    :param match: a parameter of the methods = the name of a column of the model (``"pk"``,
        ``"owner_id"``), or a callable that is given the object. Calls whose argument equals it, as
        it was or is now, are forgotten; with several, all must match. Left out: every call.
    :return: what ends it.
    :raises ConfigurationError: for what is no model or no cached method, and for a name that the
        methods or the model do not have.

    A text that reads like the value matches, too: ``get_user("7")`` is forgotten with number 7.

    What a column held before is read from the database when an object is about to be saved or
    deleted: for a match on anything but the primary key that is one query more, and it can be
    trusted inside of a transaction only. Outside of one, and for a callable, to save an object
    that exists forgets every call.
    """
    _check_model(model, "invalidate_on")
    if not methods:
        raise ConfigurationError(
            f"invalidate_on({model.__name__}) names no method; add the cached methods that read it"
        )
    if match is not None and not isinstance(match, Mapping):
        raise ConfigurationError(
            f"match must map parameters of the methods to columns of {model.__name__}, not "
            f"{match!r}; write match={{'user_id': 'pk'}}"
        )
    rule = _Rule(model, methods, dict(match or {}))
    with _changing:
        _rules.append(rule)
        _listen()
    return rule.stop


@contextmanager
def touched(*models: Any) -> Iterator[None]:
    """Count a block as a write of any rows of these models, where Django sends no signals.

    Every call that `invalidate_on` names for them is forgotten, at the start and again at the end;
    in between nothing of it is stored. Inside of a transaction the end is its commit.

    :param models: models, as they were given to `invalidate_on`, or their relatives.
    """
    for model in models:
        _check_model(model, "touched")
    with ExitStack() as stack:
        for rule in list(_rules):
            if any(_concerns(rule.model, model) for model in models):
                write = Write(f"touched({rule.model.__name__})", rule.whole, {})
                write.begin(inside=True)
                stack.callback(write.end)
        yield


def _check_model(model: Any, what: str) -> None:
    known = isinstance(model, type) and issubclass(model, Model)
    if not known or model._meta.abstract:
        raise ConfigurationError(f"{what} takes a model that has a table, not {model!r}")


def _concerns(model: Any, sender: Any) -> bool:
    """Whether a row of one is a row, or a part of a row, of the other."""
    mine, theirs = model._meta.concrete_model, sender._meta.concrete_model
    if mine is None or theirs is None:
        return False
    return issubclass(theirs, mine) or issubclass(mine, theirs)


_rules: Final[list[_Rule]] = []
_changing: Final = threading.Lock()


class _Rule:
    """One `invalidate_on`: what a write of a row comes to."""

    def __init__(
        self, model: Any, methods: Iterable[Callable[..., Any]], match: dict[str, Any]
    ) -> None:
        self.model = model
        self._match = {param: _source(model, source) for param, source in match.items()}
        self._columns = [name for name in self._match.values() if isinstance(name, str)]
        self._by_key = all(name == model._meta.pk.attname for name in self._match.values())
        self._effects = [_effect(method, match) for method in methods]
        self.whole = [Effect(effect.on) for effect in self._effects]

    def stop(self) -> None:
        """Hear no more of it."""
        with _changing:
            _rules[:] = [other for other in _rules if other is not self]
            _listen()

    def about_to_change(self, instance: Any, using: str) -> None:
        """Remember what a row holds before it is written, where that can be trusted."""
        # Of a save that failed, it may be there yet.
        vars(instance._state).get(_BEFORE, {}).pop(id(self), None)
        if self._by_key or len(self._columns) < len(self._match) or instance.pk is None:
            return
        if not isinstance(instance, self.model._meta.concrete_model):
            # A row of its parent has not all the columns.
            return
        connection = connections[using]
        if not connection.in_atomic_block:
            return
        rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
        if connection.features.has_select_for_update:
            # Nobody else writes it between this and the write; in SQLite, nobody could.
            rows = rows.select_for_update()
        # Found by a number: an object may be pickled with it.
        known = vars(instance._state).setdefault(_BEFORE, {})
        known[id(self)] = rows.values(*self._columns).first()

    def changed(self, event: str, instance: Any, is_new: bool = False) -> None:
        """Forget what a row made wrong that was written."""
        before = vars(instance._state).get(_BEFORE, {}).pop(id(self), None)
        values: Values | None = None
        if is_new or self._by_key or before is not None:
            try:
                values = {
                    param: [source(instance) if callable(source) else getattr(instance, source)]
                    for param, source in self._match.items()
                }
            except Exception:
                # A callable that fails, or a row of a parent, does not say which calls are meant.
                values = None
            else:
                if before is not None:
                    for param, source in self._match.items():
                        values[param].append(before[source])
        self.forget(event, instance.pk, values)

    def related(self, event: str, sender: Any, keys: Iterable[Any] | None, using: str) -> None:
        """Forget what rows made wrong whose relations were changed."""
        values: Values | None = None
        if (
            keys is not None
            and issubclass(sender._meta.concrete_model, self.model._meta.concrete_model)
            and len(self._columns) == len(self._match)
        ):
            rows = sender._base_manager.using(using).filter(pk__in=keys)
            found = list(rows.values(*self._columns))
            values = {
                param: [row[source] for row in found] for param, source in self._match.items()
            }
        self.forget(event, keys, values)

    def forget(self, event: str, key: Any, values: Values | None) -> None:
        """Make a write of it, which begins and ends at once."""
        write = Write(f"{self.model.__name__}.{event}", self._effects, {"pk": key})
        write.begin()
        if values is None:
            write.end()
        else:
            write.end({param: _alike(of) for param, of in values.items()})


def _alike(values: list[Any]) -> list[Any]:
    """Return values, and how they are written: what comes from a URL is a text."""
    return values + [str(value) for value in values if value is not None]


def _source(model: Any, name: Any) -> Any:
    """Return what gives a value of a row: a column's name, or a callable."""
    if callable(name):
        return name
    if not isinstance(name, str):
        raise ConfigurationError(
            f"match takes the name of a column of {model.__name__} or a callable, not {name!r}"
        )
    meta = model._meta
    if name == "pk":
        return str(meta.pk.attname)
    try:
        field = meta.get_field(name)
    except FieldDoesNotExist:
        field = None
    if getattr(field, "attname", None) != name or not field.concrete:
        known = ", ".join(["pk", *(field.attname for field in meta.concrete_fields)])
        raise ConfigurationError(
            f"match names {name!r}, which is no column of {model.__name__}; it has: {known}"
        )
    return name


def _effect(method: Any, match: dict[str, Any]) -> Effect:
    handle = getattr(method, "__pussycache__", None)
    if not isinstance(handle, Handle):
        shown = getattr(method, "__qualname__", None) or repr(method)
        raise ConfigurationError(
            f"invalidate_on takes cached methods of a proxy or decorated ones, not {shown}; name "
            "it in cached_methods, or decorate it with cached"
        )
    owner = getattr(method, "__self__", None)
    on: Any
    if owner is None and handle.owned and handle.everywhere is not None:
        on = handle.everywhere.for_all("invalidate_on")
    else:
        on = handle.table(owner)
    if not match:
        return Effect(on)
    for param in match:
        handle.method.position(param, handle.cached, "match")
    wanted = {
        param: Each(lambda call, param=param: call.result[param])  # type: ignore[misc]
        for param in match
    }
    found = Match.of(Forget(method, **wanted), handle.method, handle.cached, _WRITER)
    on.index(found.at, found.names)
    return Effect(on, found)


_WRITER: Final = Method("a signal", None, "function", (), "Model")
"""What a rule needs to know of the write: it has no parameters."""


def _rules_for(sender: Any) -> list[_Rule]:
    return [rule for rule in list(_rules) if _concerns(rule.model, sender)]


def _before(sender: Any, instance: Any, using: str, raw: bool = False, **kwargs: Any) -> None:
    for rule in _rules_for(sender):
        if not raw:
            rule.about_to_change(instance, using)


def _after_save(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
    for rule in _rules_for(sender):
        rule.changed("save", instance, is_new=created)


def _after_delete(sender: Any, instance: Any, **kwargs: Any) -> None:
    for rule in _rules_for(sender):
        rule.changed("delete", instance)


def _after_relation(
    instance: Any, action: str, model: Any, pk_set: Any, using: str, **kwargs: Any
) -> None:
    if not action.startswith("post_"):
        return
    event = action.replace("post_", "relation ")
    for rule in _rules_for(type(instance)):
        rule.related(event, type(instance), [instance.pk], using)
    for rule in _rules_for(model):
        rule.related(event, model, pk_set, using)


def _listen_for_deletes(sender: Any, **kwargs: Any) -> None:
    # Of these models only: where somebody listens, Django cannot delete in one statement.
    if _rules_for(sender):
        pre_delete.connect(_before, sender)
        post_delete.connect(_after_delete, sender)
    else:
        pre_delete.disconnect(_before, sender)
        post_delete.disconnect(_after_delete, sender)


_RECEIVERS: Final[list[tuple[Any, Callable[..., None]]]] = [
    (pre_save, _before),
    (post_save, _after_save),
    (m2m_changed, _after_relation),
    (class_prepared, _listen_for_deletes),
]


def _listen() -> None:
    """Hear of what there are rules for."""
    for signal, receiver in _RECEIVERS:
        if _rules:
            signal.connect(receiver)
        else:
            signal.disconnect(receiver)
    if apps.models_ready:
        for model in apps.get_models(include_auto_created=True):
            _listen_for_deletes(model)
