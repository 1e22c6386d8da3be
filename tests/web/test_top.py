"""The command ``python -m pussycache top``: figures of a page or a shared cache, in a terminal."""

import codecs
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from people import Users, wrapped
from servers import RunningServer

import pussycache
from pussycache import RedisCache
from pussycache.cli import main
from pussycache.see import server, terminal
from pussycache.see.terminal import show_top

PATIENCE = 60


@pytest.fixture(autouse=True)
def patient_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says itself how long it waits, and a busy machine takes longer."""
    for command in (server, terminal):
        monkeypatch.setattr(command, "_TIMEOUT", float(PATIENCE))


def test_one_table_of_a_page(users: Users, served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With --once it prints each method's calls, hit ratio and entries, and ends."""
    for _ in range(4):
        users.get_user(1)
    address = served(pussycache.web.app(users))
    for url in (address, address.rstrip("/"), f"{address}figures.json"):
        assert main(["top", "--once", url]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "hit ratio 75 %" in lines[1]
        (line,) = [line for line in lines if f"{Users.__module__}.Users.get_user" in line]
        assert line.split()[1:4] == ["4", "75", "%"]


def test_one_table_of_a_shared_cache(
    running: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a shared cache it prints what is there by namespace and method."""
    assert main(["top", "--once", running.unix_url]) == 0
    assert "nothing is remembered under this prefix" in capsys.readouterr().out
    cache = RedisCache(url=running.unix_url)
    users = pussycache.wrap(Users(), cache, cached_methods=["get_user"], namespace="us")
    for number in range(7):
        users.get_user(number)
    assert main(["top", "--once", running.unix_url]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "get_user" in line]
    assert line.split()[2] == "7"
    assert main(["top", "--once", "--prefix", "other", running.unix_url]) == 0
    assert "nothing is remembered under this prefix" in capsys.readouterr().out
    cache.close()


class Answers(BaseHTTPRequestHandler):
    """Answers with what stands in the path, or not at all."""

    def do_GET(self) -> None:
        kinds = {
            "/html": (200, b"<title>another page</title>"),
            "/json": (200, b'{"pussycache": 2}'),
            "/list": (200, b"[]"),
            "/deep": (200, b"[" * 100_000),
            "/closed": (401, b""),
        }
        found = kinds.get(self.path.removesuffix("/figures.json"))
        if found is None:
            self.wfile.write(b"this is no HTTP\x1b[31m\n")
            return
        self.send_response(found[0])
        self.end_headers()
        self.wfile.write(found[1])

    def log_message(self, *said: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A server that serves no page of ours."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        *(("/html", "is not a page of pussycache's"), ("/json", "is not a page of pussycache's")),
        *(("/list", "is not a page of pussycache's"), ("/deep", "is not a page of pussycache's")),
        *(("/closed", "answers 401"), ("/nonsense", "nothing answers")),
    ],
)
def test_what_is_no_page_is_an_error(
    elsewhere: str, capsys: pytest.CaptureFixture[str], path: str, why: str
) -> None:
    """What is not a page of ours is told of in one line that says what to give."""
    assert main(["top", "--once", f"{elsewhere}{path}"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert why in said.err
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/", "nothing answers at http://127.0.0.1:1/"),
        ("http://127.0.0.1:port/", "is no address"),
        ("http://", "nothing answers"),
        ("localhost:8000", "is no address; give one like http://"),
        ("ftp://localhost", "url begins with 'ftp'"),
        ("redis://127.0.0.1:1/0", "the server does not answer"),
    ],
)
def test_a_wrong_address_is_an_error(
    capsys: pytest.CaptureFixture[str], url: str, why: str
) -> None:
    """An address where nothing is, or that is none, is told of in one line."""
    assert main(["top", "--once", url]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert why in said.err


def test_a_hostile_name_does_nothing_to_the_terminal(
    served: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape codes and markup in a name are shown as text."""
    hostile = type("[red]\x1b]0;hurt\x07Users", (Users,), {"__module__": "shop"})
    users = wrapped(users=hostile())
    users.get_user(1)
    assert show_top(served(pussycache.web.app(users)), "pussycache", once=True) == 0
    out = capsys.readouterr().out
    assert "shop.[red]\\x1b]0;hurt\\x07Users.get_user" in out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_it_goes_on_in_a_terminal(users: Users, served: Any) -> None:
    """In a terminal the figures are shown again and again, until Ctrl-C."""
    pty = pytest.importorskip("pty")  # not on Windows
    address = served(pussycache.web.app(users))
    screen, inside = pty.openpty()
    command = [sys.executable, "-m", "pussycache", "top", address]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, env=environment
    ) as process:
        os.close(inside)
        text, decoder = "", codecs.getincrementaldecoder("utf-8")()

        def seen(pattern: str) -> bool:
            nonlocal text
            while not re.search(pattern, text):
                ready, _, _ = select.select([screen], [], [], PATIENCE)
                assert ready, text
                # What is read at once may end in the midst of a character.
                text += decoder.decode(os.read(screen, 65536))
            text = ""
            return True

        users.get_user(1)
        assert seen(r"Users\.get_user +1 ")
        users.get_user(1)
        assert seen(r"Users\.get_user +2 ")
        process.send_signal(signal.SIGINT)
        rest = b""
        # Until nobody writes there any more: if nobody reads, it writes no further.
        with suppress(OSError):
            while part := os.read(screen, 65536):
                rest += part
        assert process.wait(PATIENCE) == 130
    os.close(screen)
    assert "Traceback" not in rest.decode(errors="replace")
