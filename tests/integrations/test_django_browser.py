"""The admin page in a real browser: log in, see the figures, forget a method, see it forgotten."""

import os
import shutil

import pytest
from bank.urls import Branch, branch
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test.testcases import LiveServerThread
from servers import RunningServer

import pussycache
from pussycache import MemoryCache, RedisCache

NAME = "bank.urls.Branch.balance"


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium, driven by its driver."""
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        missing = "chromium or chromedriver is not there: apt-get install chromium-driver"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    # In a container, root has no sandbox, and little shared memory.
    for option in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
    ):
        options.add_argument(option)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.implicitly_wait(20)
    yield driver
    driver.quit()


@pytest.fixture
def site(database):
    """The site, served by a thread of this process; its address."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler, connections_override={})
    server.daemon = True
    server.start()
    assert server.is_ready.wait(20)
    assert server.error is None
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()


@pytest.fixture
def page(site, browser):
    """The page, before somebody who has just logged in."""
    User.objects.filter(username="admin").delete()
    User.objects.create_superuser("admin", password="secret")
    browser.get(f"{site}/admin/")
    browser.find_element("name", "username").send_keys("admin")
    browser.find_element("name", "password").send_keys("secret")
    browser.find_element("css selector", "input[type=submit]").click()
    browser.find_element("link text", "Cached methods").click()
    return browser


def row(page):
    return page.find_element("css selector", f'tr[data-method="{NAME}"]')


def cell(page, name):
    return row(page).find_element("class name", name).text


def said(page):
    return page.find_element("css selector", ".messagelist .success").text


@pytest.fixture
def remembered():
    """A call that is remembered in memory, before anybody looks."""
    pussycache.forget_all(branch)
    branch.balance("ada")


def test_the_admin_page(remembered, page):
    """Somebody logs in, sees the figures of a method, forgets it, and sees it forgotten."""
    assert cell(page, "entries") == "1"
    assert cell(page, "ratio").endswith(" %")
    row(page).find_element("tag name", "button").click()
    assert said(page) == f"Forgot {NAME}."
    assert cell(page, "entries") == "0"
    assert pussycache.peek(branch.balance, "ada") is pussycache.MISSING


@pytest.fixture
def shared():
    """The same branch, of two processes: entries are in a server, and of the first here, too."""
    pussycache.forget_all(branch)
    server = RunningServer("valkey")
    where = {"url": server.url, "prefix": "browser"}
    caches = [RedisCache(local=MemoryCache(), **where), RedisCache(**where)]
    yield [
        pussycache.wrap(Branch(), cache, cached_methods=["balance"], namespace="shared")
        for cache in caches
    ]
    for cache in caches:
        cache.close()
    server.stop()


@pytest.fixture
def shared_call(shared):
    """A call that both processes have asked for, before anybody looks."""
    for one in shared:
        one.balance("ada")


def test_the_admin_page_of_a_server(shared, shared_call, page):
    """What is in a server is seen, counted and forgotten from the page, for all processes."""
    assert cell(page, "entries") == "1"
    server = page.find_element("css selector", "tr[data-server^='RedisCache(browser)']")
    assert server.find_element("class name", "state").text == "answers"
    page.find_element("partial link text", "Count what is in the servers").click()
    counted = page.find_element("css selector", "tr[data-counted]")
    assert counted.find_element("class name", "entries").text == "1"
    row(page).find_element("tag name", "button").click()
    assert said(page) == f"Forgot {NAME}."
    assert cell(page, "entries") == "0"
    for one in shared:
        assert pussycache.peek(one.balance, "ada") is pussycache.MISSING
