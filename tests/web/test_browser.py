"""The page in a real browser: it is opened, looked at, sorted, and made to forget."""

import struct
import threading
from typing import Any

import pytest
from patience import BRIEF
from people import Users, wrapped
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from servers import RunningServer, eventually

import pussycache
from pussycache import RedisCache

TOKEN = "the-right-token"
PATIENCE = 60
HOSTILE = "<img src=x onerror=hurt=1>"

DESKTOP, PHONE = (1200, 900), (390, 844)


class Tab:
    """One page in the browser, and what a test asks of it."""

    def __init__(self, chromium: Any) -> None:
        self.driver = chromium

    def open(self, address: str, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
        self.look(size, dark)
        self.driver.get_log("browser")
        self.driver.get(address)
        self.until(lambda: self.text("#live") == "live")

    def look(self, size: tuple[int, int], dark: bool = False) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.do("setDeviceMetricsOverride", **metrics, mobile=width < 500)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("setEmulatedMedia", features=[scheme])

    def do(self, command: str, **given: Any) -> None:
        self.driver.execute_cdp_cmd(f"Emulation.{command}", given)

    def until(self, condition: Any) -> Any:
        return WebDriverWait(self.driver, PATIENCE).until(lambda _: condition())

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        return self.js("return document.querySelectorAll(arguments[0]).length", selector)

    def text(self, selector: str) -> str:
        # In one step: the page may exchange what was found a moment ago.
        code = """
            const found = document.querySelector(arguments[0]);
            return found?.innerText ?? found?.textContent ?? ''"""  # SVG has no innerText
        return str(self.js(code, selector))

    def js(self, code: str, *given: Any) -> Any:
        return self.driver.execute_script(code, *given)

    def column(self, number: int) -> list[str]:
        cells = f"#methods tbody td:nth-child({number})"
        code = "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.innerText)"
        return self.js(code, cells)

    def errors(self) -> list[str]:
        return [line["message"] for line in self.driver.get_log("browser")]


@pytest.fixture
def tab(chromium: Any) -> Any:
    yield Tab(chromium)
    # No request is under way when the server ends.
    chromium.get("about:blank")


class AtWork:
    """Uses an object again and again, in a thread, until the test ends."""

    def __init__(self, work: Any) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(work,), daemon=True)

    def run(self, work: Any) -> None:
        number = 0
        while not self.over.wait(0.02):
            work(number)
            number += 1

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: Any) -> None:
        self.over.set()
        self.thread.join(PATIENCE)


def number(text: str) -> int:
    return int(text.replace(",", "") or 0)


def test_figures_move_while_an_object_works(tab: Tab, served: Any, users: Users) -> None:
    """Opened while an object is used, the page shows its calls growing, and lines over time."""

    def work(number: int) -> None:
        users.get_user(number % 3)
        if number % 10 == 0:
            users.rename_user(1, "grace")

    with AtWork(work):
        tab.open(served(pussycache.web.app(users)))
        tab.until(lambda: len(tab.column(3)) == 2)
        before = number(tab.column(3)[0])
        tab.until(lambda: number(tab.column(3)[0]) > before)
        for plot in ("ratio", "calls", "loads"):
            tab.until(lambda plot=plot: tab.count(f"#{plot} path.one"))
        assert "%" in tab.text(".tile .value")
        tab.until(lambda: number(tab.text(".edge text")) > 0)
        written = number(tab.text(".edge text"))
        tab.until(lambda: number(tab.text(".edge text")) > written)
        assert tab.text("#writes li").endswith("rename_user")
    assert tab.errors() == []


def test_the_table_sorts(tab: Tab, served: Any, users: Users) -> None:
    """A column's heading sorts by it, clicked or by keyboard, and says in which direction."""
    for _ in range(5):
        users.list_users()
    users.get_user(1)
    tab.open(served(pussycache.web.app(users)))
    tab.until(lambda: tab.column(3) == ["5", "1"])

    def sorts() -> list[Any]:
        code = "return [...document.querySelectorAll('#methods th')].map((th) => th.ariaSort)"
        return [sort for sort in tab.js(code) if sort]

    assert sorts() == ["descending"]
    heading = tab.find("#methods th:nth-child(3) button")
    heading.click()
    assert (tab.column(3), sorts()) == (["1", "5"], ["ascending"])
    tab.find("#methods th:nth-child(1) button").send_keys(Keys.ENTER)
    names = [name.split()[0] for name in tab.column(1)]
    assert (names, sorts()) == (["Users.get_user", "Users.list_users"], ["ascending"])
    tab.driver.switch_to.active_element.send_keys(Keys.SPACE)
    assert (tab.column(3), sorts()) == (["5", "1"], ["descending"])
    # It stays so while figures come in.
    users.get_user(2)
    tab.until(lambda: tab.column(3) == ["5", "2"])
    assert sorts() == ["descending"]


def test_nobody_forgets_without_a_token(tab: Tab, served: Any, users: Users) -> None:
    """Where the application has no token, the page offers nothing to forget with."""
    users.get_user(1)
    tab.open(served(pussycache.web.app(users)))
    tab.until(lambda: tab.column(1))
    assert not tab.find("#unlock").is_displayed()
    assert tab.count("#methods tbody button") == 0


def test_forgetting_with_the_token(tab: Tab, served: Any, users: Users) -> None:
    """Who does not know the token is told so; who does sees a method forgotten."""
    users.get_user(1)
    tab.open(served(pussycache.web.app(users, token=TOKEN)))
    tab.until(lambda: "1" in tab.column(6))
    assert tab.count("#methods tbody button") == 0

    def give(token: str) -> None:
        tab.find("#token").send_keys(token, Keys.ENTER)

    give("a wrong one")
    tab.until(lambda: tab.text("#said") == "the token is not right")
    assert tab.count("#methods tbody button") == 0
    # Chromium itself notes an answer that is an error.
    assert all("403" in error for error in tab.errors())

    give(TOKEN)
    tab.until(lambda: tab.count("#methods tbody button") == 2)
    label = f"{Users.__module__}.Users.get_user"
    tab.find(f'tr[data-method="{label}"] button').click()
    tab.until(lambda: tab.text("#said") == f"forgot {label}")
    tab.until(lambda: tab.column(6) == ["0", "0"])
    assert pussycache.peek(users.get_user, 1) is pussycache.MISSING
    assert TOKEN not in tab.driver.page_source
    assert tab.errors() == []


def test_hostile_names_and_arguments_are_only_text(tab: Tab, served: Any) -> None:
    """Markup in the name of a class, of a method, or in an argument is shown as it is written."""

    class Shop(Users):
        pass

    Shop.__qualname__ = Shop.__name__ = HOSTILE
    setattr(Shop, HOSTILE, lambda self: 1)
    shop = pussycache.wrap(
        Shop(),
        cached_methods=["get_user", HOSTILE],
        invalidate_methods={"rename_user": ["get_user"]},
    )
    observed = pussycache.observe(Shop())
    for _ in range(50):
        shop.get_user(1)
        getattr(observed, HOSTILE)()
        observed.get_user(1)
    shop.rename_user(HOSTILE, HOSTILE)
    tab.open(served(pussycache.web.app(shop, observed, token=TOKEN, arguments=True)))
    tab.until(lambda: tab.text("#advice h2") == f"What to cache of {HOSTILE}")
    assert any(HOSTILE in name.replace("\n", "") for name in tab.column(1))
    assert HOSTILE[:20] in tab.text("#writes li")
    assert tab.count("main img") == 0
    assert tab.js("return window.hurt") is None
    assert tab.errors() == []


def test_the_advice_has_curves(tab: Tab, served: Any) -> None:
    """Of an observed object, the page says what to cache, why, and draws both curves."""
    observed = pussycache.observe(Users())
    for number in range(300):
        observed.get_user(number % 20)
    tab.open(served(pussycache.web.app(observed)))
    tab.until(lambda: tab.count("#advice .plot path.one") == 2)
    assert "of 300 calls repeated an earlier one" in tab.text("#advice section")
    assert tab.errors() == []


def size_of(png: bytes) -> Any:
    """How wide and how high a picture is."""
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_fits(tab: Tab, served: Any, users: Users, size: tuple[int, int], dark: bool) -> None:
    """At the width of a desk and of a phone nothing sticks out, in light colours and in dark."""
    many = [wrapped(users=type("A" + "long_name" * 12, (Users,), {})()) for _ in range(3)]
    observed = pussycache.observe(Users())
    for number in range(100):
        for one in (users, observed, *many):
            one.get_user(number % 7)
    users.rename_user(1, "grace")
    tab.open(served(pussycache.web.app(users, observed, *many, token=TOKEN)), size, dark)
    tab.until(lambda: tab.count("#advice path.one"))
    wide = "const page = document.documentElement; return [page.scrollWidth, innerWidth]"
    assert tab.js(wide) == [size[0], size[0]]
    # Each part stands in the page, but for what scrolls by itself.
    sticking = """
        return [...document.querySelectorAll('body *')]
          .filter((one) => !one.closest('.wide, svg') && one.getClientRects().length)
          .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
          .map((one) => one.outerHTML.slice(0, 100))"""
    assert tab.js(sticking) == []
    assert size_of(tab.driver.get_screenshot_as_png()) == size
    # Text is read against its ground in both: one of the two is light, the other dark.
    ground, ink = tab.js(
        "const style = getComputedStyle(document.body);"
        "return [style.backgroundColor, style.color].map((said) =>"
        "  said.match(/\\d+/g).reduce((sum, part) => sum + Number(part), 0) / 3)"
    )
    assert (ground < 64 and ink > 192) if dark else (ground > 192 and ink < 64)
    assert tab.errors() == []


def test_what_is_wrong_is_red(tab: Tab, served: Any, running: RunningServer) -> None:
    """While a shared cache hangs, the page says in red that it does, and what it was not told."""
    cache = RedisCache(url=running.unix_url, timeout=BRIEF)
    users = pussycache.wrap(Users(), cache, cached_methods=["get_user"], namespace="us")
    eventually(lambda: users.get_user(1) and pussycache.info(users).hits, "a server that answers")
    red = "return getComputedStyle(document.querySelector(arguments[0])).color"
    tab.open(served(pussycache.web.app(users)))
    tab.until(lambda: "breaker closed, 0 pending" in tab.text("#stores li"))
    assert tab.text("#alarms") == ""
    with running.paused():
        pussycache.forget_all(users)
        tab.until(lambda: "breaker open, 1 pending" in tab.text("#stores li"))
        hanging, pending = tab.text("#alarms").split("\n\n")
        assert "does not answer" in hanging
        assert pending.startswith("Invalidations that have not reached the shared cache yet: 1.")
        assert tab.js(red, "#alarms p") == tab.js(red, "#stores .bad") == "rgb(179, 38, 30)"
    # It ends by itself when the server is back.
    tab.until(lambda: tab.text("#alarms") == "")
    assert tab.errors() == []
    cache.close()


def test_a_process_that_ends_is_noticed(tab: Tab, served: Any, users: Users) -> None:
    """When nothing answers any more the page says so, and keeps what it has shown."""
    users.get_user(1)
    gone = threading.Event()
    page = pussycache.web.app(users)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if gone.is_set():
            raise OSError("gone")
        await page(scope, receive, send)

    tab.open(served(application))
    tab.until(lambda: tab.column(3))
    gone.set()
    tab.until(lambda: tab.text("#live").startswith("no answer"))
    assert "bad" in tab.find("#live").get_attribute("class")
    assert tab.column(3) != []


def test_several_processes_at_one_address(tab: Tab, served: Any) -> None:
    """Where answers come from several processes, one is shown, and the page says so."""
    pages = [pussycache.web.app(wrapped()) for _ in range(2)]
    turn = [0]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            turn[0] += 1
        await pages[turn[0] % 2](scope, receive, send)

    tab.open(served(application))
    tab.until(lambda: "one of 2 that answer here" in tab.text("#process"))
    assert tab.errors() == []
