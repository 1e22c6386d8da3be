"""What an object is called in a shared store, so that objects that mean the same share entries.

In memory an object is known by itself; that is memory.py's.
"""

from __future__ import annotations

from typing import Any

from pussycache.cache.names import encode_arguments
from pussycache.cache.shapes import class_name
from pussycache.errors import ConfigurationError

__all__ = ["identity"]


def identity(target: Any, namespace: str | None, version: Any) -> str:
    """Return the name of an object: its class, and what it stands for.

    :raises ConfigurationError: for an object with state that does not say what it stands for: two
        tenants' clients must never answer for one another.
    """
    kind = target if isinstance(target, type) else type(target)
    name = class_name(kind)
    parts: list[Any] = [namespace, version]
    own = getattr(type(target), "__cache_identity__", None)
    if own is not None:
        parts.append(own(target))
    elif namespace is None and _has_state(target):
        raise ConfigurationError(
            f"namespace is needed: an object of {name} has attributes of its own, and a shared "
            "store must be told which objects stand for the same; give wrap a namespace='...', or "
            "the class a method __cache_identity__(), which is the way where it is decorated"
        )
    if parts == [None, None]:
        return name
    try:
        return f"{name},{encode_arguments(tuple(parts)).decode('latin-1')}"
    except Exception as error:
        raise ConfigurationError(
            f"namespace, version and __cache_identity__() of {name} cannot be part of a key: "
            f"{error}; give strings or numbers"
        ) from None


def _has_state(target: Any) -> bool:
    if isinstance(target, type) or type(target).__name__ == "module":
        return False
    if getattr(target, "__dict__", None):
        return True
    for kind in type(target).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in ("__dict__", "__weakref__") and hasattr(target, slot):
                return True
    # Builtins keep their state elsewhere.
    return type(target).__module__ == "builtins" and type(target).__flags__ & (1 << 9) == 0
