"""Sets up Django for the tests here, and gives them a second thread with connections of its own."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bank.settings")

import django

django.setup()

PATIENCE = 60


class Elsewhere:
    """Another thread, which does what it is told, one thing at a time."""

    def __init__(self):
        self._thread = ThreadPoolExecutor(1)

    def begin(self, function, *args, **kwargs):
        """Begin a call there; its future is to be waited for with an end."""
        return self._thread.submit(function, *args, **kwargs)

    def do(self, function, *args, **kwargs):
        """Make a call there, and return what it returns."""
        return self.begin(function, *args, **kwargs).result(PATIENCE)

    def end(self):
        from django.db import connections

        self.do(connections.close_all)
        self._thread.shutdown()


@pytest.fixture
def elsewhere():
    """Another thread, with database connections of its own."""
    made = Elsewhere()
    yield made
    made.end()


@pytest.fixture(autouse=True)
def _nothing_stays():
    """Empty what Django's aliases keep in memory: it would expire, and say so, in another test."""
    yield
    from pussycache.contrib.django import memory

    for store in memory._stores.values():
        store.clear()


@pytest.fixture(scope="session")
def _tables():
    from django.core.management import call_command
    from django.db import connections

    for alias in connections:
        call_command("migrate", run_syncdb=True, verbosity=0, database=alias)
    yield
    connections.close_all()


@pytest.fixture
def database(_tables):
    """Empty tables, in both databases; whatever the test leaves open is closed."""
    from bank.models import Account, Person
    from django.db import connections

    for alias in connections:
        Account.objects.using(alias).all().delete()
        Person.objects.using(alias).all().delete()
    yield
    connections.close_all()
