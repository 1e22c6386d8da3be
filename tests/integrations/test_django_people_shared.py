"""The admin page, the command and the panel, of what is kept in a server."""

import io
import re
from urllib.parse import urlencode

import bank.urls
import pytest
from bank.urls import Branch
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from patience import BRIEF
from servers import RunningServer, eventually

import pussycache
from pussycache import MISSING, Forget, RedisCache
from pussycache.contrib.django import shared
from pussycache.contrib.django.panel import PussyCachePanel

pytestmark = pytest.mark.usefixtures("database")

PAGE = "/admin/pussycache/cachedmethod/"
NAME = "bank.urls.Branch.balance"
OURS = "pussycache.contrib.django.CacheBackend"
WELL = {"state": "answers", "breaker": "closed", "pending": "0"}


@pytest.fixture
def server():
    """A Valkey server of the test's own."""
    running = RunningServer("valkey")
    yield running
    running.stop()


@pytest.fixture
def process(server):
    """Makes branches as a process of its own would; with one hit, one miss and one entry."""
    made = []

    def process(**options):
        made.append(RedisCache(url=server.url, prefix="people", **options))
        return pussycache.wrap(
            Branch(),
            made[-1],
            cached_methods=["balance"],
            invalidate_methods={"deposit": [Forget("balance", "name")]},
            namespace="people",
        )

    yield process
    for cache in made:
        # Whoever is delivering just now would owe it again.
        cache._tier.keeper.close()
        cache._tier._pending.clear()
        cache.close()


@pytest.fixture
def branch(process, monkeypatch):
    """The branch that the site asks."""
    known = bank.urls.branch.balance.__pussycache__.table(bank.urls.branch)
    pussycache.forget_all(bank.urls.branch)
    known.forget_counts()
    made = process()
    monkeypatch.setattr(bank.urls, "branch", made)
    made.balance("ada"), made.balance("ada")
    return made


@pytest.fixture
def client():
    """Somebody who may see the page, and forget."""
    User.objects.filter(username="eve").delete()
    user = User.objects.create_user("eve", password="secret", is_staff=True)
    names = ["view_cachedmethod", "forget_cachedmethod"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def row_of(page, mark):
    """The cells of a row, by their classes."""
    row = page[page.index(mark) :].partition("</tr>")[0]
    return dict(re.findall(r'<td class="(\w+)">([^<]*)</td>', row))


def run(*arguments):
    out = io.StringIO()
    call_command("pussycache", *arguments, stdout=out)
    return out.getvalue()


def test_the_page_shows_what_is_shared(branch, client, server):
    """The figures of this process, whether the server answers, and no password."""
    secret = RedisCache(url=f"redis://eve:hunter2@127.0.0.1:{server.port}/0", prefix="secret")
    page = client.get(PAGE).content.decode()
    assert row_of(page, f'data-method="{NAME}"')["ratio"] == "50.0 %"
    cells = row_of(page, f'data-server="RedisCache(people) {server.url}"')
    assert cells == WELL
    cells = row_of(page, f'data-server="RedisCache(secret) {server.url}"')
    assert "the server refuses user" in cells["state"]
    assert "hunter2" not in page
    secret.close()


def test_the_page_counts_what_is_in_the_server(branch, process, client):
    """When asked to, it counts the entries of all processes."""
    assert "data-counted" not in client.get(PAGE).content.decode()
    page = client.get(PAGE + "?count").content.decode()
    assert re.search(r'data-counted="bank\.urls\.Branch,[^"]*people[^"]*\.balance"', page)
    assert row_of(page, 'data-counted="bank.urls.Branch')["entries"] == "1"


def test_the_button_forgets_for_all_processes(branch, process, client):
    """What is forgotten in one process is forgotten in the server, and so in all."""
    other = process()
    assert pussycache.peek(other.balance, "ada") == 10
    page = client.post(PAGE, {"forget": NAME}, follow=True).content.decode()
    assert f"Forgot {NAME}." in page
    assert pussycache.peek(branch.balance, "ada") is MISSING
    assert pussycache.peek(other.balance, "ada") is MISSING
    assert "by forget in the admin, by eve" in str(pussycache.explain(other.balance, "ada"))


def test_the_page_without_the_server(branch, client, server):
    """It is there, says that the server is not, and what it has not been told."""
    server.kill()
    page = client.post(PAGE, {"forget": NAME}, follow=True).content.decode()
    assert f"Forgot {NAME}." in page
    assert "A server does not answer. It is told as soon as it does." in page
    page = client.get(PAGE + "?count").content.decode()
    assert row_of(page, 'data-server="RedisCache') == {
        "state": "does not answer",
        "breaker": "open",
        "pending": "1",
    }
    assert row_of(page, f'data-method="{NAME}"')["pending"] == "1"
    assert "data-counted" not in page
    server.start()
    cache = pussycache.cache_of(branch)
    eventually(lambda: cache.pending == 0, "the delivery")
    page = client.get(PAGE).content.decode()
    assert row_of(page, 'data-server="RedisCache') == {
        "state": "answers",
        "breaker": "closed",
        "pending": "0",
    }


def test_the_page_of_a_server_that_hangs(process, client, server, monkeypatch):
    """It is shown after the cache's timeout, and not after the server's."""
    monkeypatch.setattr(bank.urls, "branch", process(timeout=BRIEF))
    with server.paused():
        page = client.get(PAGE).content.decode()
    assert row_of(page, 'data-server="RedisCache')["state"] == "does not answer"


def test_the_button_where_writes_are_refused(process, client, server):
    """What refuses to write without its server is not forgotten, and says so."""
    made = process(on_outage="refuse")
    made.balance("ada")
    server.kill()
    page = client.post(PAGE, {"forget": NAME}, follow=True).content.decode()
    assert f"Could not forget {NAME}: a server does not answer." in page
    with pytest.raises(CommandError, match="the shared store does not answer"):
        run("forget", NAME)


def test_the_status_of_what_is_shared(branch, server):
    """The command says what this process counts, and what is in the servers that it knows."""
    said = {"default": {"BACKEND": OURS, "LOCATION": server.url, "KEY_PREFIX": "site"}}
    with override_settings(CACHES=said):
        caches["default"].set("key", 1)
        out = run("status")
        store = caches["default"].store
        store.close()
        shared._made.clear()
    figures = next(line for line in out.splitlines() if line.startswith(NAME))
    assert figures.split()[2:] == ["1", "1", "50.0", "%"]
    assert f"RedisCache(people) {server.url}: answers; 0 pending\n" in out
    assert re.search(r"  bank\.urls\.Branch,\S*people\S* balance +1 +\d+ bytes\n", out)
    assert re.search(
        r"CacheBackend\(django\.site\) \S+: answers; 0 pending\n  \(set by hand\) +1 +\d+ bytes\n",
        out,
    )


def test_forgetting_by_the_command(branch, process, server):
    """`forget` and `clear` reach the server; what does not is an error that says so."""
    other = process()
    assert run("forget", NAME) == f"forgot {NAME}\n"
    assert pussycache.peek(other.balance, "ada") is MISSING
    branch.balance("ada")
    assert "methods" in run("clear")
    assert pussycache.peek(other.balance, "ada") is MISSING
    server.kill()
    out = run("status")
    assert f"RedisCache(people) {server.url}: does not answer; 0 pending\n" in out
    with pytest.raises(CommandError, match="2 invalidations have not reached their server"):
        run("forget", NAME)


def test_clearing_an_alias_without_its_server(server):
    """An alias whose server is away is not cleared, and the command says so."""
    # Of the default alias others make use, too.
    said = {**settings.CACHES, "served": {"BACKEND": OURS, "LOCATION": server.url}}
    with override_settings(CACHES=said):
        caches["served"].set("key", 1)
        assert "cleared CACHES['served']" in run("clear", "--alias", "served")
        assert caches["served"].get("key") is None
        server.kill()
        with pytest.raises(CommandError, match="the server does not answer"):
            run("clear", "--alias", "served")
        caches["served"].store.close()
        shared._made.clear()


def panel_of(page):
    request = re.search(r'data-request-id="(\w+)"', page)[1]
    asked = {"toolbar": 1, "request_id": request, "panel_id": PussyCachePanel.panel_id}
    return Client().get("/__debug__/render_panel/?" + urlencode(asked)).json()["content"]


def test_the_panel_of_what_is_shared(branch, server):
    """A request's hits, misses, loads and invalidations in a server, and how that is."""
    page = Client().get("/balance/ada?toolbar=1&deposit=5").content.decode()
    assert "15" in page
    assert "2 hits, 1 misses" in page
    panel = panel_of(page)
    row = panel[panel.index(NAME) :].partition("</tr>")[0]
    assert re.findall(r"<td>(\d+)</td>", row)[:4] == ["2", "1", "1", "1"]
    assert "<td>Branch.deposit</td>" in row
    store = panel[panel.index(f"RedisCache(people) {server.url}") :].partition("</tr>")[0]
    assert re.findall(r"<td>([^<]*)</td>", store) == ["answers", "closed", "0"]


def test_the_panel_without_the_server(branch, server):
    """A request that nobody answers from the server is answered, and its panel is there."""
    server.kill()
    page = Client().get("/balance/ada?toolbar=1&deposit=5").content.decode()
    assert "15" in page
    panel = panel_of(page)
    store = panel[panel.index(f"RedisCache(people) {server.url}") :].partition("</tr>")[0]
    assert re.findall(r"<td>([^<]*)</td>", store) == ["does not answer", "open", "1"]
