"""What there is for the people who run it: the admin page, the command, the checks, the panel."""

import gc
import io
import re
from urllib.parse import urlencode

import pytest
from bank.urls import branch
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

import pussycache
from pussycache import MISSING
from pussycache.contrib.django.checks import check_caches, check_databases
from pussycache.contrib.django.overview import shown
from pussycache.contrib.django.panel import PussyCachePanel
from pussycache.stats import BY_HAND
from pussycache.testing import FakeClock

pytestmark = pytest.mark.usefixtures("database")

PAGE = "/admin/pussycache/cachedmethod/"
NAME = "bank.urls.Branch.balance"
OURS = "pussycache.contrib.django.CacheBackend"


@pytest.fixture
def figures(database):
    """One hit, one miss and one entry of a method, and nothing from earlier tests."""
    table = branch.balance.__pussycache__.table(branch)
    table.forget_counts()
    pussycache.forget_all(branch)
    table.forget_counts()
    branch.balances["ada"] = 10
    branch.balance("ada"), branch.balance("ada")


def client_of(*permissions):
    """Somebody who is logged in and has these permissions."""
    User.objects.filter(username="eve").delete()
    user = User.objects.create_user("eve", password="secret", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client()
    client.force_login(user)
    return client


def test_the_page_needs_a_permission(figures):
    """Who may not view the page does not see it, and does not find it."""
    client = client_of()
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"forget": NAME}).status_code == 403
    assert "pussycache" not in client.get("/admin/").content.decode()
    assert pussycache.peek(branch.balance, "ada") == 10


def test_the_page_shows_the_figures(figures):
    """Who may view sees the figures of each method, and no button."""
    client = client_of("view_cachedmethod")
    assert PAGE in client.get("/admin/").content.decode()
    page = client.get(PAGE).content.decode()
    row = page[page.index(f'data-method="{NAME}"') :].partition("</tr>")[0]
    assert '<td class="ratio">50.0 %</td>' in row
    assert '<td class="entries">1</td>' in row
    assert "<button" not in row
    assert client.post(PAGE, {"forget": NAME}).status_code == 403
    assert pussycache.peek(branch.balance, "ada") == 10


class Slow:
    def __init__(self, clock):
        self.clock = clock

    def answer(self):
        self.clock.advance(3.0)
        return 42


def slow():
    """Two hits of a method whose load took three seconds."""
    with FakeClock() as clock:
        made = pussycache.wrap(Slow(clock), cached_methods=["answer"])
        made.answer(), made.answer(), made.answer()
    return made


def test_the_page_shows_the_time_saved(figures):
    """A hit saves what a load takes: an estimate that is wrong by a factor of 2 at most."""
    made = slow()
    page = client_of("view_cachedmethod").get(PAGE).content.decode()
    row = page[page.index(f"{Slow.__module__}.Slow.answer") :].partition("</tr>")[0]
    saved = re.search(r'<td class="saved">([\d.]+) s</td>', row)
    assert 3.0 <= float(saved[1]) <= 12.0
    assert made.answer() == 42


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0.0, "0 µs"),
        (2.3e-6, "2.3 µs"),
        (0.0123, "12 ms"),
        (1.0, "1.0 s"),
        (119.0, "119 s"),
        (150.0, "2.5 min"),
        (7200.0, "2.0 h"),
        (1e9, "277778 h"),
    ],
)
def test_durations_are_shown_as_people_read_them(seconds, says):
    """Two figures or three, and a unit."""
    assert shown(seconds) == says


def test_an_object_that_is_no_more_has_figures_and_is_forgotten(figures):
    """Its figures are shown, and to forget it is done already."""
    cache, name = pussycache.MemoryCache(), f"{Slow.__module__}.Slow.answer"
    pussycache.wrap(Slow(FakeClock()), cache, cached_methods=["answer"]).answer()
    gc.collect()
    assert cache.labelled() == []
    client = client_of("view_cachedmethod", "forget_cachedmethod")
    assert f'data-method="{name}"' in client.get(PAGE).content.decode()
    page = client.post(PAGE, {"forget": name}, follow=True).content.decode()
    assert f"Forgot {name}." in page


def test_the_button_forgets(figures):
    """Who may forget forgets a method, and the explanation says who it was."""
    client = client_of("view_cachedmethod", "forget_cachedmethod")
    assert f'value="{NAME}"' in client.get(PAGE).content.decode()
    page = client.post(PAGE, {"forget": NAME}, follow=True).content.decode()
    assert f"Forgot {NAME}." in page
    assert pussycache.peek(branch.balance, "ada") is MISSING
    assert "by forget in the admin, by eve" in str(pussycache.explain(branch.balance, "ada"))
    page = client.post(PAGE, {"forget": "no.such<method>"}, follow=True).content.decode()
    assert "There is no no.such&lt;method&gt; in this process." in page


def test_values_set_by_hand_are_no_method(figures):
    """The page lists methods, and nothing that cannot be forgotten like one."""
    cache = pussycache.MemoryCache()
    cache.set("key", 1)
    assert [*cache.figures()] == [BY_HAND]
    assert BY_HAND not in client_of("view_cachedmethod").get(PAGE).content.decode()


def test_there_is_nothing_to_add_change_or_delete(figures):
    """The page is all there is: no row can be opened, added or deleted."""
    client = client_of("view_cachedmethod", "forget_cachedmethod")
    for page in ("add/", "1/change/", "1/delete/", "1/"):
        assert client.get(PAGE + page).status_code == 404


def test_the_model_has_no_table(figures):
    """`dumpdata` and `migrate` do not stumble over a model without a table."""
    out = io.StringIO()
    call_command("dumpdata", "pussycache", "bank", stdout=out)
    call_command("dumpdata", "pussycache", "--all", stdout=out)
    call_command("makemigrations", "--check", "--dry-run", stdout=out)
    assert "No changes detected" in out.getvalue()


def run(*arguments):
    out = io.StringIO()
    call_command("pussycache", *arguments, stdout=out)
    return out.getvalue()


def test_the_status(figures):
    """`status` lists the methods with their figures, and those of CACHES that are ours."""
    with override_settings(CACHES={"default": {"BACKEND": OURS, "LOCATION": "status"}}):
        caches["default"].set("key", 1)
        lines = {line.split()[0]: line.split()[1:] for line in run("status").splitlines()}
        caches["default"].clear()
    assert lines[NAME] == ["1", "1", "1", "50.0", "%"]
    assert lines["CACHES['default']"] == ["1"]


def test_forgetting_by_the_command(figures):
    """`forget` forgets the methods that are named; a name that is not known forgets nothing."""
    with pytest.raises(CommandError, match=r"'no\.such' is not remembered here; there is: .*bank"):
        run("forget", NAME, "no.such")
    assert pussycache.peek(branch.balance, "ada") == 10
    assert run("forget", NAME) == f"forgot {NAME}\n"
    assert pussycache.peek(branch.balance, "ada") is MISSING


def test_clearing_by_the_command(figures):
    """`clear` forgets all methods, and those of CACHES that are named."""
    with override_settings(CACHES={"default": {"BACKEND": OURS, "LOCATION": "clear"}}):
        caches["default"].set("key", 1)
        with pytest.raises(CommandError, match="'other' is not in CACHES; there is: default"):
            run("clear", "--alias", "other")
        assert "methods" in run("clear")
        assert caches["default"].get("key") == 1
        assert "cleared CACHES['default']" in run("clear", "--alias", "default")
        assert caches["default"].get("key") is None
    assert pussycache.peek(branch.balance, "ada") is MISSING


def problems(**settings):
    with override_settings(**settings):
        return check_caches(None)


def test_the_checks_are_run():
    """`manage.py check` runs what is checked here."""
    said = {"default": {"BACKEND": OURS, "OPTIONS": {"CLIENT": 1}}}
    with override_settings(CACHES=said):
        assert "pussycache.W001" in [problem.id for problem in run_checks()]


def test_good_settings_are_good():
    """Nothing is said of settings that mean what they seem to."""
    said = {
        "BACKEND": OURS,
        "LOCATION": "name",
        "TIMEOUT": None,
        "KEY_PREFIX": "p",
        "OPTIONS": {"MAX_ENTRIES": 10, "CULL_FREQUENCY": "3"},
    }
    other = {"BACKEND": "django.core.cache.backends.dummy.DummyCache", "OPTIONS": {"a": 1}}
    server = {**said, "LOCATION": "redis://localhost", "OPTIONS": {"local": True}}
    assert problems(CACHES={"default": said, "other": other, "server": server}) == []
    assert problems(CACHES={"default": {"BACKEND": "no.such.Backend"}}) == []


@pytest.mark.parametrize(
    ("said", "ident", "says"),
    [
        ({"LOCATION": "localhost:6379"}, "pussycache.W004", "which is a name: values are kept in"),
        ({"OPTIONS": {"CLIENT": 1}}, "pussycache.W001", "OPTIONS['CLIENT'], which means nothing"),
        ({"MAX_ENTRIES": 5}, "pussycache.W001", "MAX_ENTRIES, which means nothing"),
        ({"OPTIONS": {"MAX_ENTRIES": "many"}}, "pussycache.W002", "MAX_ENTRIES = 'many'"),
        ({"TIMEOUT": 0.5}, "pussycache.W002", "TIMEOUT = 0.5"),
        ({"OPTIONS": {"local": True}}, "pussycache.W001", "OPTIONS['local'], which means nothing"),
        (
            {"LOCATION": "redis://localhost", "OPTIONS": {"MAX_ENTRIES": 5}},
            "pussycache.W001",
            "OPTIONS['MAX_ENTRIES'], which means nothing",
        ),
        ({"LOCATION": ["a", "b"]}, "pussycache.E001", "must be a name or a URL, not ['a', 'b']"),
    ],
)
def test_wrong_settings_are_named(said, ident, says):
    """A setting that does not mean what it seems to is named."""
    (problem,) = problems(CACHES={"default": {"BACKEND": OURS, **said}})
    assert problem.id == ident
    assert says in problem.msg


def test_autocommit_off_is_named(monkeypatch):
    """A database without autocommit is warned about: its transactions cannot be told to end."""
    assert check_databases(None) == []
    monkeypatch.setitem(settings.DATABASES["second"], "AUTOCOMMIT", False)
    (problem,) = check_databases(None)
    assert problem.id == "pussycache.W003"
    assert "DATABASES['second']" in problem.msg


def test_the_panel(figures):
    """The toolbar's panel tells of this request: hits, misses, and which write made what wrong."""
    client = Client()
    page = client.get("/balance/ada?toolbar=1&deposit=5").content.decode()
    assert "15" in page
    assert "2 hits, 1 misses" in page
    request = re.search(r'data-request-id="(\w+)"', page)[1]
    asked = {"toolbar": 1, "request_id": request, "panel_id": PussyCachePanel.panel_id}
    panel = client.get("/__debug__/render_panel/?" + urlencode(asked)).json()["content"]
    row = panel[panel.index(NAME) :].partition("</tr>")[0]
    # Hits, misses, loads, invalidations and entries.
    assert re.findall(r"<td>(\d+)</td>", row) == ["2", "1", "1", "1", "1"]
    assert re.search(r"<td>[\d.]+ [µm]s</td>", row)
    assert "<td>Branch.deposit</td>" in row
    assert "deposit(name=&#x27;ada&#x27;, amount=5)" in panel


def test_the_panel_of_a_request_with_hits_alone(figures):
    """What its hits have saved is told by the loads of before."""
    page = Client().get("/balance/ada?toolbar=1").content.decode()
    assert "3 hits, 0 misses" in page
    request = re.search(r'data-request-id="(\w+)"', page)[1]
    asked = {"toolbar": 1, "request_id": request, "panel_id": PussyCachePanel.panel_id}
    panel = Client().get("/__debug__/render_panel/?" + urlencode(asked)).json()["content"]
    row = panel[panel.index(NAME) :].partition("</tr>")[0]
    saved = re.search(r"<td>([\d.]+) [µm]s</td>", row)
    assert float(saved[1]) > 0


def test_the_panel_of_a_request_that_calls_nothing(figures):
    """A request that calls no cached method has an empty panel."""
    page = Client().get("/admin/login/?toolbar=1").content.decode()
    assert "0 hits, 0 misses" in page
