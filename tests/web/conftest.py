"""Serves pages from threads of this process, and has a real browser look at them."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from people import wrapped
from servers import RunningServer


@pytest.fixture
def users() -> Any:
    return wrapped()


@pytest.fixture
def served() -> Iterator[Callable[[Any], str]]:
    """Serves an application until the test ends; returns its address."""
    ending = []

    def serve(application: Any) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        ending.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield serve
    for server, thread in ending:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[RunningServer]:
    running = RunningServer("valkey")
    yield running
    running.stop()


@pytest.fixture
def running(shared_server: RunningServer) -> RunningServer:
    """A server of the module, empty."""
    shared_server.do("FLUSHALL")
    return shared_server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's chromium, driven by its driver."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in found:
        pytest.fail("chromium or chromedriver is not there: apt-get install chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    # In a container, root has no sandbox, and little shared memory.
    for option in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"),
        "--hide-scrollbars",
    ):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=found[1])
    )
    driver.implicitly_wait(20)
    yield driver
    driver.quit()
