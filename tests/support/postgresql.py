"""A PostgreSQL server for tests: in a folder of its own, on a unix socket, and not of root.

What is tested has no place here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

__all__ = ["RunningPostgreSQL"]


def program(name: str) -> str:
    """Return the path of one of its programs; where CI is set a missing one fails the test."""
    # Debian keeps them off the path, and has wrappers there.
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), None]
    found = next(filter(None, (shutil.which(name, path=folder) for folder in folders)), None)
    if found is None:
        problem = f"PostgreSQL's {name} is not there: apt-get install postgresql"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    return found


class RunningPostgreSQL:
    """One server with some databases; `folder` is where its socket is, and its user `tester`."""

    def __init__(self, *databases: str) -> None:
        self._initdb, self._pg_ctl = program("initdb"), program("pg_ctl")
        # Short: a unix socket's path has some hundred bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="pussycache-"))
        # It refuses to be root's.
        self._as = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, "nobody")
        try:
            self._start(databases)
        except BaseException:
            self.stop()
            raise

    def _start(self, databases: tuple[str, ...]) -> None:
        data = str(self.folder / "data")
        self._run(self._initdb, "-D", data, "-A", "trust", "-U", "tester", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._run(
            *(self._pg_ctl, "start", "-w", "-D", data, "-o", options),
            *("-l", str(self.folder / "log")),
        )
        createdb = program("createdb")
        for name in databases:
            self._run(createdb, "-h", str(self.folder), "-U", "tester", name)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
            **self._as,  # type: ignore[call-overload]
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{command}: {done.stdout}{log.read_text() if log.exists() else ''}")

    def stop(self) -> None:
        """End it and remove its folder."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run(self._pg_ctl, "stop", "-m", "immediate", "-D", str(self.folder / "data"))
        shutil.rmtree(self.folder, ignore_errors=True)
