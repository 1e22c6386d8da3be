"""Remember what slow methods returned, and never serve what a write has made wrong."""

from __future__ import annotations

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.cache.null import NullCache
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Call, Each, Forget
from pussycache.declare.templates import ForgetTag
from pussycache.engine.clock import disabled
from pussycache.errors import (
    BackendUnavailable,
    ConfigurationError,
    InvalidationPending,
    LoadTimeout,
    MutatedValueWarning,
    PussyCacheError,
    UncacheableCallWarning,
)
from pussycache.proxy import BaseProxy, cache_of, wrap
from pussycache.stats import CacheInfo
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pussycache import testing as testing
    from pussycache import web as web
    from pussycache.cache.django import DjangoCache as DjangoCache
    from pussycache.cache.redis import RedisCache as RedisCache
    from pussycache.decorators import cached, invalidates
    from pussycache.operations import (
        Explanation,
        abypass,
        aexplain,
        aforget,
        aforget_all,
        aforget_tag,
        ainfo,
        apeek,
        aput,
        arefresh,
        bypass,
        explain,
        forget,
        forget_all,
        forget_tag,
        info,
        peek,
        put,
        refresh,
        writing,
    )
    from pussycache.see.advisor import advise
    from pussycache.see.snapshots import snapshot
    from pussycache.see.tracing import trace
    from pussycache.see.watchers import observe
    from pussycache.warming import warm

__all__ = [
    "MISSING",
    "BackendUnavailable",
    "BaseProxy",
    "Cache",
    "CacheInfo",
    "Cached",
    "Call",
    "ConfigurationError",
    "Each",
    "Explanation",
    "Forget",
    "ForgetTag",
    "InvalidationPending",
    "LoadTimeout",
    "MemoryCache",
    "MutatedValueWarning",
    "NullCache",
    "PussyCacheError",
    "UncacheableCallWarning",
    "abypass",
    "advise",
    "aexplain",
    "aforget",
    "aforget_all",
    "aforget_tag",
    "ainfo",
    "apeek",
    "aput",
    "arefresh",
    "bypass",
    "cache_of",
    "cached",
    "disabled",
    "explain",
    "forget",
    "forget_all",
    "forget_tag",
    "info",
    "invalidates",
    "observe",
    "peek",
    "put",
    "refresh",
    "snapshot",
    "trace",
    "warm",
    "wrap",
    "writing",
]

# What wrapping an object and calling it does without: loaded when it is first asked for.
_LATER = {
    # Not in __all__: with a star, nobody asks for what needs an extra.
    "cache.django": ("DjangoCache",),
    "cache.redis": ("RedisCache",),
    "decorators": ("cached", "invalidates"),
    "operations": (
        *("Explanation", "bypass", "explain", "forget", "forget_all", "forget_tag", "info", "peek"),
        *("put", "refresh", "writing", "abypass", "aexplain", "aforget", "aforget_all"),
        *("aforget_tag", "ainfo", "apeek", "aput", "arefresh"),
    ),
    "see.advisor": ("advise",),
    "see.snapshots": ("snapshot",),
    "see.tracing": ("trace",),
    "see.watchers": ("observe",),
    "warming": ("warm",),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, names in _LATER.items():
        if name in names:
            globals()[name] = found = getattr(import_module(f"{__name__}.{module}"), name)
            return found
    if name in ("testing", "web"):
        # Not in __all__ either: they are modules, and the second needs an extra.
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Without those that need an extra: help() and inspect ask for all that is named here.
    return sorted({*globals(), *__all__})
