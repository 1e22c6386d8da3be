"""The command that shows what is in a shared cache, and forgets a part of it."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from servers import PATIENCE, RunningServer

import pussycache
from pussycache import Forget, RedisCache
from pussycache.cli import main
from pussycache.see import server
from pussycache.see.server import show_server


@pytest.fixture(autouse=True)
def patient_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says itself how long it waits, and a busy machine takes longer."""
    monkeypatch.setattr(server, "_TIMEOUT", float(PATIENCE))


class Users:
    def get(self, user_id: int) -> int:
        return user_id

    def all(self) -> list[int]:
        return [1, 2]

    def rename(self, user_id: int) -> None:
        pass


@pytest.fixture
def users(running: RunningServer) -> Iterator[Users]:
    cache = RedisCache(url=running.unix_url)
    made = pussycache.wrap(
        Users(),
        cache,
        cached_methods=["get", "all"],
        invalidate_methods={"rename": [Forget("get", "user_id")]},
        namespace="tenant {7}:x",
    )
    for number in range(700):
        made.get(number)
    made.all()
    cache.set("by hand", 1)
    yield made
    cache.close()


def lines(running: RunningServer, capsys: pytest.CaptureFixture[str]) -> dict[str, dict]:
    assert main(["server", "--url", running.unix_url, "--json"]) == 0
    return {line["method"]: line for line in json.loads(capsys.readouterr().out)}


def test_what_is_there_is_counted(
    users: Users, running: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By namespace and method: entries, bytes, generations, and writers at work."""
    with pussycache.writing(users.rename, user_id=3):
        found = lines(running, capsys)
    assert (found["get"]["entries"], found["all"]["entries"], found[""]["entries"]) == (700, 1, 1)
    assert found["get"]["size"] > 700 * 40
    assert (found["get"]["generations"], found["get"]["writers"]) == (700, 1)
    assert main(["server", "--url", running.unix_url]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["namespace", "method", "entries", "bytes", "generations", "writers"]
    assert "tenant {7}:x" in table[-1]


def test_a_method_is_forgotten(
    users: Users, running: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is named is forgotten for everybody, and the rest is not."""
    (owner,) = {line["owner"] for line in lines(running, capsys).values() if line["method"]}
    given = ["server", "--url", running.unix_url, "--forget", f"{owner}::get", "--yes"]
    assert main(given) == 0
    assert "forgotten: 700 entries" in capsys.readouterr().out
    assert pussycache.peek(users.get, 3) is pussycache.MISSING
    assert pussycache.peek(users.all) == [1, 2]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_it_asks_before_it_forgets(
    users: Users,
    running: RunningServer,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: int,
) -> None:
    """Nothing is forgotten unless the answer is yes."""
    (owner,) = {line["owner"] for line in lines(running, capsys).values() if line["method"]}
    said = show_server(running.unix_url, "pussycache", forget=owner, ask=io.StringIO(answer))
    assert said == code
    assert (pussycache.peek(users.all) is pussycache.MISSING) is (code == 0)


def test_wrong_input(running: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not there, a bad url and a server that is away are told of, in one line."""
    assert main(["server", "--url", running.unix_url, "--forget", "nobody", "--yes"]) == 1
    assert "nothing is known of 'nobody'" in capsys.readouterr().err
    assert main(["server", "--url", "http://x"]) == 1
    assert "url begins with 'http'" in capsys.readouterr().err
    assert main(["server", "--url", "redis://127.0.0.1:1/0"]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert main(["server", "--url", running.unix_url]) == 0
    assert capsys.readouterr().out == "nothing is remembered under this prefix\n"


def test_as_a_command(running: RunningServer) -> None:
    """Started with -m it prints the table."""
    ended = subprocess.run(
        [sys.executable, "-m", "pussycache", "server", "--url", running.unix_url],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "nothing is remembered under this prefix\n"
