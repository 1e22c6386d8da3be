"""What the page's application answers: its files, the figures, advice, and who may forget."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

import pytest
from fastapi import FastAPI
from patience import BRIEF
from people import Users, wrapped
from servers import RunningServer, eventually
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import pussycache
from pussycache import ConfigurationError, MemoryCache, RedisCache
from pussycache.see.snapshots import snapshot
from pussycache.stats import CacheInfo, Counts
from pussycache.testing import FakeClock
from pussycache.web.journal import ROOM, Journal

LABEL = f"{Users.__module__}.Users.get_user"
TOKEN = "the right token"
KNOWING = {"X-Pussycache-Token": TOKEN}
PATIENCE = 60


class Clock:
    """The journal's time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for name in ("monotonic", "time"):
            monkeypatch.setattr(f"pussycache.web.journal.{name}", lambda: self.now)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It stands still: a snapshot that took long answers for longer who asks for a newer one."""
    return Clock(monkeypatch)


def client(*sources: Any, **kwargs: Any) -> TestClient:
    return TestClient(pussycache.web.app(*sources, **kwargs))


def row(found: Any, label: str = LABEL) -> dict[str, Any]:
    (method,) = [method for method in found["methods"] if method["label"] == label]
    return method


# The page and its files.


def test_the_page_has_all_that_it_needs(users: Users) -> None:
    """Each file that the page names is served, with the right type, and nothing comes from
    elsewhere."""
    page = client(users)
    todo, seen = {""}, {}
    while todo:
        name = todo.pop()
        answer = page.get(f"/{name}")
        assert answer.status_code == 200, name
        seen[name] = answer
        named = re.findall(r'(?:src|href)="([^"]+)"|from "\./([^"]+)"', answer.text)
        todo |= {one or other for one, other in named} - set(seen) - {"figures.json"}
    kinds = {
        name.rpartition(".")[2]: answer.headers["content-type"] for name, answer in seen.items()
    }
    assert kinds == {
        "": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
    for name, answer in seen.items():
        addresses = set(re.findall(r"https?://[^\s\"']+", answer.text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name


def test_every_answer_says_what_a_browser_may_do(users: Users) -> None:
    """Also an error forbids scripts from elsewhere, frames, and guesses about types."""
    page = client(users)
    for path in ("/", "/figures.json", "/page.js", "/nowhere"):
        headers = page.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def _in_starlette(page: Any) -> Any:
    return Starlette(routes=[Mount("/admin/cache", page)])


def _in_fastapi(page: Any) -> Any:
    application = FastAPI()
    application.mount("/admin/cache", page)
    return application


@pytest.mark.parametrize("mounted", [_in_starlette, _in_fastapi])
def test_it_works_where_it_is_mounted(users: Users, mounted: Any) -> None:
    """Under a path it answers there, and one without the last slash is sent to it."""
    page = TestClient(mounted(pussycache.web.app(users)))
    answer = page.get("/admin/cache")
    assert str(answer.url).endswith("/admin/cache/")
    assert "<title>pussycache</title>" in answer.text
    # The page names its files without a path: they are found beside it.
    assert 'src="page.js"' in answer.text
    for name in ("page.js", "page.css", "figures.json"):
        assert page.get(f"/admin/cache/{name}").status_code == 200


# The figures.


def test_the_figures_are_those_of_now(users: Users) -> None:
    """Hits, misses, loads and writes are there after the calls."""
    users.get_user(1)
    users.get_user(1)
    users.list_users()
    users.rename_user(1, "grace")
    found = client(users).get("/figures.json").json()
    method = row(found)
    assert (method["hits"], method["misses"], method["loads"]) == (1, 1, 1)
    assert sum(method["load_times"]) == 1
    assert found["total"]["misses"] == 2
    assert [edge[2] for edge in found["edges"]] == [1]
    assert [write["what"] for write in found["writes"]] == ["rename_user"]


def test_a_cache_shows_all_that_it_keeps() -> None:
    """Of a cache, the methods of all objects are shown; those of one class are added up."""
    cache = MemoryCache()
    all_of_them = [wrapped(cache) for _ in range(3)]
    for users in all_of_them:
        users.get_user(1)
    assert row(client(cache).get("/figures.json").json())["misses"] == 3


def test_nothing_is_counted_twice() -> None:
    """Where a cache is shown and an object that it remembers, too, calls are counted once."""
    users = wrapped()
    users.get_user(1)
    found = client(users, pussycache.cache_of(users)).get("/figures.json").json()
    assert found["total"]["misses"] == 1


def test_cached_functions_are_shown_and_forgotten() -> None:
    """A decorated function, and a method of all objects of its class, can be given, too."""

    @pussycache.cached
    def square(number: int) -> int:
        return number * number

    class Shop:
        @pussycache.cached
        def price(self, product: str) -> int:
            return len(product)

    square(3)
    shops = Shop(), Shop()
    for shop in shops:
        shop.price("tea")
    page = client(square, Shop.price, token=TOKEN)
    methods = page.get("/figures.json").json()["methods"]
    assert [method["misses"] for method in methods] == [2, 1]
    for method in methods:
        answer = page.post("/forget", json={"method": method["label"]}, headers=KNOWING)
        assert answer.status_code == 200
    assert pussycache.peek(square, 3) is pussycache.MISSING
    assert pussycache.peek(shops[1].price, "tea") is pussycache.MISSING


def test_without_anything_all_caches_are_shown(users: Users) -> None:
    """An application that is given nothing shows all caches of the process."""
    users.get_user("one that others do not ask for")
    labels = [m["label"] for m in client().get("/figures.json").json()["methods"]]
    assert any(label.startswith(LABEL) for label in labels)


def test_what_was_set_by_hand_is_no_method() -> None:
    """Keys of a cache's own are counted, and not forgotten like a method; the page knows."""
    cache = MemoryCache()
    cache.set("key", "value")
    page = client(cache, token=TOKEN)
    (method,) = page.get("/figures.json").json()["methods"]
    assert (method["entries"], method["forgettable"]) == (1, False)
    answer = page.post("/forget", json={"method": method["label"]}, headers=KNOWING)
    assert answer.status_code == 404
    assert cache.get("key") == "value"


def test_the_history_goes_on_where_it_was_left(users: Users, clock: Clock) -> None:
    """Who says which point was the last is sent the later ones, and totals only grow."""
    page = client(users)
    first = page.get("/figures.json").json()
    assert [point[1:4] for point in first["history"]] == [[0, 0, 0]]
    for _ in range(3):
        clock.now += 1
        users.get_user(1)
        page.get("/figures.json")
    later = page.get("/figures.json", params={"after": first["last"]}).json()
    assert [point[1:4] for point in later["history"]] == [[0, 1, 1], [1, 1, 1], [2, 1, 1]]
    again = page.get("/figures.json", params={"after": later["last"]}).json()
    assert again["history"] == []
    for nonsense in ("-7", "x", "9" * 50, "٣", ""):
        answer = page.get("/figures.json", params={"after": nonsense})
        assert len(answer.json()["history"]) == 4


def test_the_history_is_bounded(users: Users, clock: Clock) -> None:
    """However long it is looked at, so many points are kept, and those are the last ones."""
    page = client(users)
    for _ in range(ROOM + 50):
        clock.now += 1
        found = page.get("/figures.json").json()
    assert len(found["history"]) == ROOM
    assert found["history"][-1][0] == clock.now


def test_very_many_methods_are_a_short_answer() -> None:
    """However many methods and declarations there are, the busiest are shown, others counted."""
    few = CacheInfo(hits=1, invalidated=Counts({"Shop.write": 1}))
    methods = {f"shop.Shop.method_{number}": few for number in range(100_000)}
    methods["shop.Shop.busiest"] = CacheInfo(hits=7)

    class Many(MemoryCache):
        def figures(self) -> dict[str, CacheInfo]:
            return methods

    answer = client(Many()).get("/figures.json")
    found = answer.json()
    assert len(answer.content) < 200_000
    assert found["total"]["hits"] == 100_007
    labels = [method["label"] for method in found["methods"]]
    assert labels[:2] == ["(others)", "shop.Shop.busiest"]
    assert len(labels) < 500
    assert len(found["edges"]) + found["more_edges"] > len(found["edges"])


@pytest.mark.parametrize("label", ["x" * 100_000, "\x1b[31mred", "a\ud800b", "a\u202eb", "a\nb"])
def test_a_hostile_name_is_short_and_plain(label: str) -> None:
    """A name of any length and of any characters is sent short, on one line and readable."""
    hostile = type("Users", (Users,), {"__module__": label})
    users = wrapped(users=hostile())
    users.get_user(1)
    page = client(users, token=TOKEN)
    shown = [method["label"] for method in page.get("/figures.json").json()["methods"]]
    assert all(one.isprintable() and len(one) <= 300 for one in shown)
    # And can be forgotten under the name that is shown.
    for one in shown:
        assert page.post("/forget", json={"method": one}, headers=KNOWING).status_code == 200
    assert pussycache.peek(users.get_user, 1) is pussycache.MISSING


def test_arguments_are_shown_to_who_asks_for_them(users: Users) -> None:
    """No argument is in any answer, unless the application was made to show them."""
    observed = pussycache.observe(Users())
    for _ in range(40):
        observed.get_user("the argument")
    users.get_user("the argument")
    users.rename_user("the argument", "other")
    page = client(users, observed, token=TOKEN)
    for path in ("/", "/figures.json", "/advice.json"):
        assert "the argument" not in page.get(path).text
    shown = client(users, arguments=True).get("/figures.json").json()["writes"][0]["what"]
    assert "rename_user(user_id='the argument', name='other')" in shown


def test_advice_is_that_of_the_advisor() -> None:
    """Of observed objects the curves and the reasons are there, and apart for each object."""
    # The reasons say for how long it was watched.
    with FakeClock():
        one, other = pussycache.observe(Users()), pussycache.observe(Users())
        for number in range(100):
            one.get_user(number % 10)
        page = client(one, other)
        assert page.get("/figures.json").json()["observed"] == 2
        first, second = page.get("/advice.json").json()
        assert first["key"] != second["key"]
        method = first["methods"]["get_user"]
        assert method["repeated"] == 0.9
        assert method["curve"][-1]["hit_ratio"] == pytest.approx(0.9)
        assert method["reasons"] == pussycache.advise(one)["get_user"].reasons
        assert second["methods"] == {}


# Forgetting.


def test_forgetting_is_off_without_a_token(users: Users) -> None:
    """An application without a token forgets for nobody, and says so."""
    users.get_user(1)
    page = client(users)
    assert page.get("/figures.json").json()["forgetting"] is False
    for token in ("", TOKEN, "None"):
        headers = {"X-Pussycache-Token": token}
        answer = page.post("/forget", json={"method": LABEL}, headers=headers)
        assert answer.status_code == 403
        assert "without a token" in answer.json()["said"]
    assert pussycache.peek(users.get_user, 1) == "ada"


def test_who_knows_the_token_forgets(users: Users) -> None:
    """With the token, all calls of the method are forgotten, and of no other; it is explained."""
    users.get_user(1)
    users.list_users()
    page = client(users, token=TOKEN)
    assert page.get("/figures.json").json()["forgetting"] is True
    answer = page.post("/forget", json={"method": LABEL}, headers=KNOWING)
    assert (answer.status_code, answer.json()["said"]) == (200, f"forgot {LABEL}")
    assert pussycache.peek(users.get_user, 1) is pussycache.MISSING
    assert pussycache.peek(users.list_users) == ["ada", "bob"]
    assert "forget on the page" in str(pussycache.explain(users.get_user, 1))


REFUSED = {
    "nothing": {},
    "an empty token": {"X-Pussycache-Token": ""},
    "a wrong token": {"X-Pussycache-Token": "the wrong token"},
    "the beginning of it": {"X-Pussycache-Token": TOKEN[:-1]},
    "bytes that are no ASCII": {"X-Pussycache-Token": "gehe\u00efm".encode("latin-1")},
    "a cookie": {"Cookie": f"token={TOKEN}"},
    "another site": {**KNOWING, "Origin": "https://evil.example"},
    "a site of a like name": {**KNOWING, "Origin": "http://testserver.evil.example"},
    "no origin to speak of": {**KNOWING, "Origin": "null"},
    "another port": {**KNOWING, "Origin": "http://testserver:81"},
    "another site, as the browser says": {**KNOWING, "Sec-Fetch-Site": "cross-site"},
    "a neighbour, as the browser says": {**KNOWING, "Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_nobody_else_does(users: Users, headers: dict[str, Any]) -> None:
    """A request without the token, or one that another site has had a browser send, is refused."""
    users.get_user(1)
    page = client(users, token=TOKEN)
    for path in ("/forget", "/token"):
        answer = page.post(path, json={"method": LABEL}, headers=headers)
        assert answer.status_code == 403
        assert TOKEN not in answer.text
    assert pussycache.peek(users.get_user, 1) == "ada"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://testserver"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"},  # behind a proxy
    ],
)
def test_the_page_itself_may(users: Users, headers: dict[str, str]) -> None:
    """What the page has sent is let through, also where a proxy calls the host by another name."""
    page = client(users, token=TOKEN)
    assert page.post("/token", json={}, headers=KNOWING | headers).status_code == 200


AS_JSON = {"Content-Type": "application/json"}
WRONG = {
    "a form": (415, {"data": {"method": LABEL}}),
    "a text": (415, {"content": json.dumps({"method": LABEL})}),
    "no JSON": (400, {"content": "{", "headers": AS_JSON}),
    "a list": (400, {"json": [LABEL]}),
    "a number": (400, {"json": {"method": 7}}),
    "deeply nested": (
        400,
        {"content": "[" * 9000, "headers": {"Content-Type": "application/json"}},
    ),
    "too much": (413, {"json": {"method": "x" * 20_000}}),
    "an unknown method": (404, {"json": {"method": "shop.Shop.nothing"}}),
}


@pytest.mark.parametrize(("status", "sent"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_understood_forgets_nothing(
    users: Users, status: int, sent: dict[str, Any]
) -> None:
    """Each mistake has an answer that says what is wrong, and nothing is lost."""
    users.get_user(1)
    page = client(users, token=TOKEN)
    headers = KNOWING | sent.pop("headers", {}) if "headers" in sent else KNOWING
    answer = page.post("/forget", headers=headers, **sent)
    assert answer.status_code == status
    assert answer.json()["said"]
    assert page.get("/forget").status_code == 405
    assert pussycache.peek(users.get_user, 1) == "ada"


def test_forgetting_is_a_write() -> None:
    """A load that runs while its method is forgotten from the page is not stored."""
    loading, go_on = threading.Event(), threading.Event()

    class Slow(Users):
        def get_user(self, user_id: Any) -> Any:
            loading.set()
            assert go_on.wait(PATIENCE)
            return super().get_user(user_id)

    users = wrapped(users=Slow())
    page = client(users, token=TOKEN)
    (label,) = [
        method["label"]
        for method in page.get("/figures.json").json()["methods"]
        if method["label"].endswith("get_user")
    ]
    with ThreadPoolExecutor(1) as threads:
        load = threads.submit(users.get_user, 1)
        assert loading.wait(PATIENCE)
        assert page.post("/forget", json={"method": label}, headers=KNOWING).status_code == 200
        go_on.set()
        assert load.result(PATIENCE) == "ada"
    assert pussycache.peek(users.get_user, 1) is pussycache.MISSING


@pytest.fixture
def far(running: RunningServer) -> Any:
    made = []

    def cache(**kwargs: Any) -> RedisCache:
        made.append(RedisCache(url=running.unix_url, **kwargs))
        return made[-1]

    yield cache
    for one in made:
        one.close()


def namespaced(cache: Any) -> Any:
    return pussycache.wrap(Users(), cache, cached_methods=["get_user"], namespace="us")


def test_forgetting_reaches_other_processes(far: Any) -> None:
    """What is forgotten from the page is forgotten in the shared cache, for all who use it."""
    here, there = namespaced(far()), namespaced(far())
    there.get_user(1)
    here.get_user(1)
    page = client(here, token=TOKEN)
    (method,) = page.get("/figures.json").json()["methods"]
    answer = page.post("/forget", json={"method": method["label"]}, headers=KNOWING)
    assert answer.status_code == 200
    assert pussycache.peek(there.get_user, 1) is pussycache.MISSING


def test_the_page_answers_while_it_forgets(far: Any, running: RunningServer, served: Any) -> None:
    """While a server that hangs is told to forget, the page goes on answering."""
    users = namespaced(far(timeout=PATIENCE))
    users.get_user(1)
    address = served(pussycache.web.app(users, token=TOKEN))
    (method,) = json.load(urlopen(f"{address}figures.json", timeout=PATIENCE))["methods"]
    told = Request(
        f"{address}forget",
        json.dumps({"method": method["label"]}).encode(),
        {**KNOWING, "Content-Type": "application/json"},
    )
    with ThreadPoolExecutor(1) as threads, running.paused():
        forgetting = threads.submit(lambda: urlopen(told, timeout=2 * PATIENCE).status)
        for _ in range(3):
            assert urlopen(f"{address}figures.json", timeout=PATIENCE).status == 200
        assert not forgetting.done()
        running.resume()
        assert forgetting.result(PATIENCE) == 200
    assert pussycache.peek(users.get_user, 1) is pussycache.MISSING


def test_a_server_that_cannot_be_told_is_an_error(far: Any, running: RunningServer) -> None:
    """Where a write may not be put off, the page says that nothing was forgotten."""
    users = namespaced(far(on_outage="refuse", timeout=BRIEF))
    users.get_user(1)
    page = client(users, token=TOKEN)
    (method,) = page.get("/figures.json").json()["methods"]
    with running.paused():
        answer = page.post("/forget", json={"method": method["label"]}, headers=KNOWING)
    assert answer.status_code == 503
    assert "not forgotten" in answer.json()["said"]


def test_what_is_pending_is_said(far: Any, running: RunningServer) -> None:
    """While a server hangs, its breaker is not closed, and what it was not told of is counted."""
    users = namespaced(far(timeout=BRIEF))
    eventually(lambda: users.get_user(1) and pussycache.info(users).hits, "a server that answers")
    page = client(users)
    (store,) = page.get("/figures.json").json()["stores"]
    assert (store["breaker"], store["pending"]) == ("closed", 0)
    with running.paused():
        pussycache.forget_all(users)
        found = page.get("/figures.json").json()
    (store,) = found["stores"]
    assert store["breaker"] != "closed"
    assert store["pending"] == found["total"]["pending"] == 1
    eventually(
        lambda: page.get("/figures.json").json()["total"]["pending"] == 0, "a server that was told"
    )


# What it is given.


@pytest.mark.parametrize("given", [Users(), Users, None, "users", Users().get_user])
def test_what_is_neither_wrapped_nor_a_cache_is_refused(given: Any) -> None:
    """Anything else is a `ConfigurationError` that says what to give."""
    with pytest.raises(ConfigurationError, match="give what wrap, cached or observe has returned"):
        pussycache.web.app(given)


@pytest.mark.parametrize("token", ["", " ", " x", "gehe\u00efm", "a\nb", b"token", 7, True])
def test_a_token_that_cannot_be_sent_is_refused(users: Users, token: Any) -> None:
    """A token that no header can carry is a `ConfigurationError` that names it."""
    with pytest.raises(ConfigurationError, match="token must"):
        pussycache.web.app(users, token=token)


class Counted:
    """Sources that do something else, too, when they are counted."""

    def __init__(self, users: Any, also: Any) -> None:
        self.users = users
        self.also = also

    def snapshot(self) -> Any:
        self.also()
        return snapshot(self.users)

    def writes(self) -> list[Any]:
        return []


def test_counting_takes_a_tenth_of_the_time(users: Users, clock: Clock) -> None:
    """Where a snapshot takes long, it answers all who ask for ten times as long."""
    taken = []

    def slowly() -> None:
        taken.append(clock.now)
        clock.now += 0.5

    journal = Journal(Counted(users, slowly))  # type: ignore[arg-type]
    for _ in range(100):
        journal.look(-1)
        clock.now += 0.1
    assert taken == pytest.approx([1000.0, 1005.0, 1010.0])


def test_nobody_waits_while_another_counts(users: Users) -> None:
    """Who asks while a snapshot is being taken is given the one before, at once."""
    counting, go_on = threading.Event(), threading.Event()
    go_on.set()

    def held() -> None:
        counting.set()
        assert go_on.wait(PATIENCE)

    journal = Journal(Counted(users, held))  # type: ignore[arg-type]
    users.get_user(1)
    counting.clear()
    go_on.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(journal.look, -1)
        assert counting.wait(PATIENCE)
        assert journal.look(-1)["total"]["misses"] == 0
        go_on.set()
        assert first.result(PATIENCE)["total"]["misses"] == 1


def test_the_time_saved_is_that_of_the_methods(users: Users) -> None:
    """Each method's hits count with its own loads: the sum is what the methods have saved."""
    for _ in range(9):
        users.get_user(1)
        users.list_users()
    found = client(users).get("/figures.json").json()
    saved = [method["time_saved"] for method in found["methods"]]
    assert found["total"]["time_saved"] == pytest.approx(sum(saved))
    assert min(saved) > 0
