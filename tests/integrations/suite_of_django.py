"""Goes into the folder of Django's own tests: what every backend must pass, run on `CacheBackend`.

Once through its methods, and once through its async ones, by a backend that awaits them. Where the
environment names a server, values are kept there.
"""

import json
import os

from asgiref.sync import async_to_sync
from django.test import TestCase, override_settings

from pussycache.contrib.django import CacheBackend

from .tests import BaseCacheTests, caches_setting_for_tests

SYNC = ["add", "get", "set", "touch", "delete", "has_key", "incr", "decr", "clear", "close"]
SYNC += ["get_many", "get_or_set", "set_many", "delete_many", "incr_version", "decr_version"]


def by_awaiting(name):
    def method(self, *args, **kwargs):
        return async_to_sync(getattr(self.inner, "a" + name))(*args, **kwargs)

    return method


class OverServer(CacheBackend):
    """Takes the names that Django's tests give to `LOCATION` for databases of a server."""

    names = {}

    def __init__(self, location, params):
        url = f"{os.environ['SERVER']}?db={self.names.setdefault(location, len(self.names))}"
        options = {**params.get("OPTIONS", {}), **json.loads(os.environ["SERVER_OPTIONS"])}
        super().__init__(url, {**params, "OPTIONS": options})


Backend = OverServer if "SERVER" in os.environ else CacheBackend


class Awaiting:
    """Has the methods of a backend, and awaits its async ones in each."""

    def __init__(self, location, params):
        vars(self)["inner"] = Backend(location, params)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __setattr__(self, name, value):
        setattr(self.inner, name, value)

    def __contains__(self, key):
        return self.has_key(key)


for name in SYNC:
    setattr(Awaiting, name, by_awaiting(name))


@override_settings(CACHES=caches_setting_for_tests(BACKEND=os.environ["BACKEND"]))
class CacheBackendTests(BaseCacheTests, TestCase):
    available_apps = ["cache"]


@override_settings(CACHES=caches_setting_for_tests(BACKEND="cache.suite_of_django.Awaiting"))
class AwaitedCacheBackendTests(BaseCacheTests, TestCase):
    available_apps = ["cache"]


# They replace a method of the backend, and see whether its async twin calls it: these are asked of
# the backend itself, above, and not of the one that awaits it.
for name in dir(BaseCacheTests):
    if name.endswith("_async_uses_specialized_implementation"):
        setattr(AwaitedCacheBackendTests, name, None)

# A server throws out what it has to: MAX_ENTRIES and CULL_FREQUENCY mean nothing there.
if Backend is OverServer:
    for tests in (CacheBackendTests, AwaitedCacheBackendTests):
        tests.test_cull = tests.test_zero_cull = None
