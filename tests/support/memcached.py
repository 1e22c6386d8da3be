"""A real memcached for tests, on a free port of the loopback interface. What is tested has no place
here.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from servers import Port, eventually


class RunningMemcached:
    """One process of `memcached`; a missing program fails the test."""

    def __init__(self, *options: str) -> None:
        program = shutil.which("memcached")
        assert program is not None, "memcached is not on the path; the tests need it"
        self._held = Port()
        self.port = self._held.number
        # As root it wants to be told that it may be.
        self._command = [program, *("-l", "127.0.0.1", "-p", str(self.port), "-U", "0")]
        self._command += ["-u", "root", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def location(self) -> str:
        """Return where it is, as Django's settings say it."""
        return f"127.0.0.1:{self.port}"

    def do(self, command: str) -> bytes:
        """Carry out a command from outside, and return the beginning of what it says."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(command.encode() + b"\r\n")
            return sock.recv(100)

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(lambda: self.do("version").startswith(b"VERSION"), "a memcached")
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End it; what it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it for good."""
        self.kill()
        self._held.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it hang for a block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # It stops when its first thread comes to it; until then the others answer.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)
