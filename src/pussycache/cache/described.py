"""What a table can be asked about the method whose entries it keeps: by whom it is used, and how.

Records only: names for objects, and what becomes of such a description, are the caches'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pussycache.declare.policy import Cached
    from pussycache.declare.signatures import Method
    from pussycache.engine.plan import Plan

__all__ = ["Described"]


class Described:
    """One method of one object: ``name`` is the same for it in every process.

    ``target``, ``namespace`` and ``version`` say whose method it is; ``me`` is the object that
    stands for itself among the arguments.
    """

    __slots__ = ("cached", "me", "method", "name", "namespace", "plan", "target", "version")

    def __init__(
        self,
        name: str,
        method: Method,
        cached: Cached,
        plan: Plan,
        target: Any,
        me: object,
        namespace: str | None = None,
        version: Any = None,
    ) -> None:
        self.name = name
        self.method = method
        self.cached = cached
        self.plan = plan
        self.target = target
        self.me = me
        self.namespace = namespace
        self.version = version
