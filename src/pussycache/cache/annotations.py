"""What a method's annotation says that it returns: which classes a value of it may consist of.

What is done with those classes is not known here.
"""

from __future__ import annotations

import sys
import typing
from inspect import get_annotations, unwrap
from types import GenericAlias, SimpleNamespace
from typing import Any

__all__ = ["classes_in", "returned_by", "taken_by"]


def returned_by(function: Any) -> Any:
    """Return the resolved annotation of what a function or method returns, or `None`.

    A name that cannot be resolved (imported for type checkers only, say) counts as no annotation.

    >>> def users() -> "list[int]": ...
    >>> returned_by(users)
    list[int]
    """
    function = unwrap(getattr(function, "__func__", function))
    annotations = getattr(function, "__annotations__", None)
    if not isinstance(annotations, dict) or "return" not in annotations:
        return None
    return _resolved(annotations["return"], getattr(function, "__globals__", {}), {})


def taken_by(function: Any) -> Any:
    """Return the resolved annotations of what a function or method takes, as one of a tuple.

    >>> def user(user_id: int, *, city: "str | None" = None) -> None: ...
    >>> taken_by(user)
    tuple[int, str | None]
    """
    function = unwrap(getattr(function, "__func__", function))
    annotations = getattr(function, "__annotations__", None)
    if not isinstance(annotations, dict):
        return None
    names = getattr(function, "__globals__", {})
    taken = [_resolved(said, names, {}) for name, said in annotations.items() if name != "return"]
    return GenericAlias(tuple, tuple(taken))


def classes_in(annotation: Any) -> list[type]:
    """Return the classes that are reachable from an annotation: also in fields of such classes.

    >>> classes_in(dict[str, list[int]])
    [<class 'dict'>, <class 'str'>, <class 'list'>, <class 'int'>]
    """
    seen: dict[int, Any] = {}
    found: dict[type, None] = {}
    todo = [annotation]
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        # Kept, so that nothing made on the way takes the same place in memory.
        seen[id(one)] = one
        if isinstance(one, type) and typing.get_origin(one) is None:
            if one not in found:
                found[one] = None
                todo += _fields_of(one)
        else:
            todo += _parts_of(one)
    return list(found)


def _parts_of(annotation: Any) -> list[Any]:
    if isinstance(annotation, list):
        return annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return [type(value) for value in typing.get_args(annotation)]
    if origin is typing.Annotated:
        return [annotation.__origin__]
    parts = [] if origin is None else [origin, *typing.get_args(annotation)]
    if type(annotation).__module__ not in ("typing", "typing_extensions"):
        # Anything may be an annotation; nothing is asked for of what typing does not know.
        return parts
    # A type variable may stand for these, a NewType and a `type` statement do.
    for name in ("__bound__", "__constraints__", "__default__", "__supertype__", "__value__"):
        try:
            part = getattr(annotation, name, None)
        except Exception:
            # The value of a `type` statement is worked out here, and may name what is not there.
            continue
        parts += part if isinstance(part, tuple) else [part]
    return parts


def _fields_of(kind: type) -> list[Any]:
    if kind.__module__ == "builtins":
        return []
    fields = []
    for base in kind.__mro__:
        module = getattr(sys.modules.get(base.__module__), "__dict__", {})
        # By its own name, because a class in a function is no name of its module.
        own = {**vars(base), base.__name__: base}
        fields += [
            _resolved(annotation, module, own) for annotation in get_annotations(base).values()
        ]
    # Where these two have resolved types themselves, those of a generic class are filled in.
    fields += [a.type for a in getattr(kind, "__attrs_attrs__", ())]
    models: Any = getattr(kind, "__pydantic_fields__", {})
    fields += [field.annotation for field in models.values()]
    return [field for field in fields if not isinstance(field, str)]


def _resolved(annotation: Any, names: dict[str, Any], more: dict[str, Any]) -> Any:
    # One at a time: a name that is not there must not take the others along.
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, names, more, include_extras=True)["it"]
    except Exception:
        return None
