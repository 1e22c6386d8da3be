"""Remember what slow methods returned, and never serve what a write has made wrong."""

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.cache.null import NullCache
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Call, Each, Forget
from pussycache.declare.templates import ForgetTag
from pussycache.decorators import cached, invalidates
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
from pussycache.proxy import BaseProxy, cache_of, wrap
from pussycache.stats import CacheInfo
from pussycache.types import MISSING
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
    "peek",
    "put",
    "refresh",
    "warm",
    "wrap",
    "writing",
]
