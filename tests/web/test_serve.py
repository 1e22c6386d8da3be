"""The command ``python -m pussycache serve``, and what it takes to import the page."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from pussycache.cli import main

PATIENCE = 60


@contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[Any]:
    """The command, running; its address, and itself."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "pussycache", "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), **environment},
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="there, a signal ends a process at once")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_serves_the_demo_until_it_is_ended(tmp_path: Path, number: int, code: int) -> None:
    """It prints its address, shows the demo at work, and leaves nothing behind when it ends."""
    with serving(tmp_path) as (address, process):
        assert b"<title>pussycache</title>" in urlopen(address, timeout=PATIENCE).read()
        calls: list[int] = []
        while not calls or calls[-1] == calls[0]:
            total = json.load(urlopen(f"{address}figures.json", timeout=PATIENCE))["total"]
            calls.append(total["hits"] + total["misses"])
        assert "--token" in process.stdout.readline()
        assert "Ctrl-C ends it" in process.stdout.readline()
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


def _may_forget(address: str, token: str) -> bool:
    asked = Request(f"{address}token", b"{}", {"X-Pussycache-Token": token})
    try:
        return bool(urlopen(asked, timeout=PATIENCE).status == 200)
    except HTTPError as error:
        error.close()
        return False


def test_the_token_comes_from_the_environment_or_the_command(tmp_path: Path) -> None:
    """Forgetting is off without a token, and on with one in the environment or on the line."""
    with serving(tmp_path) as (address, _):
        assert not _may_forget(address, "")
    with serving(tmp_path, PUSSYCACHE_TOKEN="one") as (address, _):
        assert _may_forget(address, "one")
    with serving(tmp_path, "--token", "two", PUSSYCACHE_TOKEN="one") as (address, _):
        assert (_may_forget(address, "one"), _may_forget(address, "two")) == (False, True)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Where another program listens already, one line says so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"cannot listen on port {port} of 127.0.0.1" in said
    assert "--port" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http", "8.0", ""])
def test_a_port_that_is_none(capsys: pytest.CaptureFixture[str], port: str) -> None:
    """What is no number of a port is told of as a mistake on the command line."""
    with pytest.raises(SystemExit):
        main(["serve", f"--port={port}"])
    assert "give a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--host", "nowhere.invalid"], "nowhere.invalid"),
        (["--token", ""], "token must"),
        (["--token", "gehe\u00efm"], "token must"),
    ],
)
def test_other_mistakes(capsys: pytest.CaptureFixture[str], options: list[str], why: str) -> None:
    """A host that is not there and a token that cannot be sent are told of in one line."""
    assert main(["serve", "--port", "0", *options]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert why in said.err


WITHOUT = """\
import sys
sys.modules[{package!r}] = None
import pussycache
try:
    {use}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "rich"])
def test_what_is_missing_is_named(package: str) -> None:
    """Without a package of the extra, the error names it and how to install it."""
    uses = {
        "starlette": "pussycache.web",
        "uvicorn": "from pussycache.cli import main; main(['serve', '--port', '0'])",
        "rich": "from pussycache.cli import main; main(['top', '--once'])",
    }
    source = WITHOUT.format(package=package, use=uses[package])
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert package in run.stdout + run.stderr
    assert 'pip install "pussycache[web]"' in run.stdout + run.stderr


def test_the_page_loads_when_it_is_asked_for() -> None:
    """`import pussycache` brings no framework along, and `pussycache.web.app` is there for all."""
    source = """\
import sys
import pussycache
assert "starlette" not in sys.modules
users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
print(type(pussycache.web.app(users)).__name__)
"""
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert run.stdout == "Starlette\n"
