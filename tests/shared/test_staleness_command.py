"""The command that measures how old the answers of a local tier are."""

import json

import pytest
from servers import RunningServer

from pussycache.testing import staleness


@pytest.fixture
def valkey() -> RunningServer:
    running = RunningServer("valkey")
    yield running
    running.stop()


def test_counts() -> None:
    """An answer counts from the return of the write that made it wrong to the call's beginning."""
    # Writes 1, 2 and 3 have returned at these moments; 0 is what was there before.
    returned = [1.0, 2.0, 3.0]
    report = staleness._report("poll", 10, returned, [(0, 2.5), (1, 0.5), (3, 2.75)])
    assert (report.reads, report.writes, report.stale) == (10, 3, 2)
    assert report.longest == pytest.approx(1.5e6)
    assert report.median == pytest.approx(0.5e6)
    fresh = staleness._report("poll", 10, returned, [(0, 0.5), (1, 1.5), (2, 2.5)])
    assert (fresh.stale, fresh.longest) == (0, 0.0)


def test_strict_is_never_old(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    """With a strict local tier it finds no old answer, and says so for machines."""
    command = ["--url", valkey.unix_url, "--seconds", "1", "--coherence", "strict", "--json"]
    assert staleness.main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["coherence"] == "strict"
    assert (said["stale"], said["longest"]) == (0, 0.0)
    assert said["reads"] > 0
    assert said["writes"] > 0


def test_prints_a_line_for_each(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a line for each way to keep the tier coherent."""
    assert staleness.main(["--url", valkey.unix_url, "--seconds", "0.3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["coherence", "poll", "listener", "strict"]
