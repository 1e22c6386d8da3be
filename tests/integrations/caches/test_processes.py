"""`DjangoCache` between processes that share files, or a memcached."""

import os
import time

import pytest
from another_process import FENCE_MS, Another, wrapped
from caches_of_django import PLAIN
from django.core.cache import caches
from django.test import override_settings

import pussycache


@pytest.fixture(params=["file", "memcached"])
def settings(request, tmp_path):
    """What `CACHES` says in all of the processes."""
    if request.param == "file":
        said = {"BACKEND": f"{PLAIN}filebased.FileBasedCache", "LOCATION": str(tmp_path / "kept")}
    else:
        location = request.getfixturevalue("memcached").location
        said = {"BACKEND": f"{PLAIN}memcached.PyMemcacheCache", "LOCATION": location}
    with override_settings(CACHES={"default": said}):
        caches["default"].clear()
        yield said
        caches.close_all()


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "price"
    file.write_text("1")
    return str(file)


@pytest.fixture
def another(settings, path):
    """Start another process."""
    started = []

    def start(dies_at=""):
        started.append(Another(settings, path, dies_at))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture
def shelf(settings, path):
    """The shelf of this process."""
    made = wrapped(path)
    yield made
    made._cache.close()


def test_processes_share_what_they_load_and_write(shelf, another):
    """What one process has loaded another is served, and a write in either is seen by both."""
    other = another()
    assert shelf.price("tea") == 1
    assert (other.call("price", "tea"), other.call("loads")) == (1, 0)
    other.call("set_price", "tea", 2)
    assert shelf.price("tea") == 2
    shelf.set_price("tea", 3)
    assert other.call("price", "tea") == 3


@pytest.mark.parametrize("where", ["before the effect", "after the effect"])
def test_a_writer_that_is_killed(shelf, another, until, where):
    """Wherever a writer is killed, no answer is older than its effect, then or later."""
    assert (shelf.price("tea"), shelf.price("tea")) == (1, 1)
    another(where).killed("set_price", "tea", 2)
    now = 2 if where == "after the effect" else 1
    end = time.monotonic() + 2 * FENCE_MS / 1000
    while time.monotonic() < end:
        assert shelf.price("tea") == now
    # Its fence lapses, and the call is remembered again.
    until(lambda: shelf.price("tea") == now and pussycache.peek(shelf.price, "tea") == now)


def test_no_answer_is_older_than_the_last_write(shelf, another):
    """While processes read all the time, each sees the other's writes at once."""
    others = [another(), another()]
    for _ in range(30):
        for process in others:
            amount = process.call("raise_price", "tea")
            assert shelf.price("tea") == amount
            assert [other.call("price", "tea") for other in others] == [amount] * 2
        amount = shelf.raise_price("tea")
        assert [other.call("price", "tea") for other in others] == [amount] * 2
    # Not because nothing is remembered.
    assert sum(other.call("loads") for other in others) < 120


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(shelf):
    """A child does not read its parent's replies: it opens a connection itself."""
    shelf.price("tea")
    backend = shelf._cache._store._backend
    before = backend._django()
    child = os.fork()
    if not child:
        status = 1
        try:
            status = int(backend._django() is before or shelf.price("tea") != 1)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (shelf.price("tea"), shelf._proxied.loads) == (1, 1)
