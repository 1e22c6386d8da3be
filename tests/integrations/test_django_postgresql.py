"""The tests of Django's transactions and signals hold over PostgreSQL, too, as they do over SQLite.

They are run again by a process of its own, because a process has one set of settings.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from postgresql import RunningPostgreSQL

HERE = Path(__file__).parent
TESTS = ["test_django_transactions.py", "test_django_signals.py", "test_shared_transactions.py"]

# Where each statement sees what has been committed by then, these two have nothing to ask.
LEVELS = {
    "READ_COMMITTED": "not sees_old_rows and not of_such_a_transaction",
    "REPEATABLE_READ": "",
}
# So many there are at least.
LEAST = {"READ_COMMITTED": 90, "REPEATABLE_READ": 99}


@pytest.fixture(scope="module")
def running():
    """The tests at each level, each over a server of its own, being run."""
    servers, processes = [], {}
    try:
        for level, those in LEVELS.items():
            servers.append(RunningPostgreSQL("first", "second"))
            environment = {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "bank.settings_postgresql",
                "POSTGRESQL": str(servers[-1].folder),
                "ISOLATION_LEVEL": level,
            }
            processes[level] = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", "-k", those, *TESTS],
                cwd=HERE,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
        for server in servers:
            server.stop()


@pytest.mark.parametrize("level", LEVELS)
def test_what_holds_over_sqlite_holds_over_postgresql(level, running):
    """Nobody stores or is served what is not committed, at each level of isolation."""
    output, _ = running[level].communicate(timeout=300)
    assert running[level].returncode == 0, output
    passed = re.search(r"(\d+) passed", output)
    assert int(passed[1]) >= LEAST[level], output
    assert "skipped" not in output
