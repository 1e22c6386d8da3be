"""Remember what slow methods returned, and never serve what a write has made wrong."""
from pussycache.proxy import BaseProxy, cache_of, wrap
from pussycache.cache import MemoryCache, NullCache
from pussycache.types import MISSING
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Each, Forget
