"""The servers that the tests of the shared tier talk to, each started when first asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import gate, new_gate, run, spawn, until, watchdog  # noqa: F401 - fixtures
from servers import ENGINES, Certificates, RunningCluster, RunningSentinels, RunningServer


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Which program: a test that takes this runs against both, or the one that is asked for."""
    return request.param


@pytest.fixture(scope="module")
def shared_server(engine: str) -> Iterator[RunningServer]:
    running = RunningServer(engine)
    yield running
    running.stop()


@pytest.fixture
def running(shared_server: RunningServer) -> Iterator[RunningServer]:
    """A server of the module, empty."""
    shared_server.do("FLUSHALL")
    yield shared_server
    if shared_server.process is None:
        shared_server.start()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder: Path = tmp_path_factory.mktemp("certificates")
    return Certificates(folder)


@pytest.fixture(scope="module")
def tls_server(certificates: Certificates) -> Iterator[RunningServer]:
    """A server with TLS; the one in the wheel has none, so it is the distribution's."""
    running = RunningServer("redis", tls=certificates)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def sentinels(engine: str) -> Iterator[RunningSentinels]:
    running = RunningSentinels(engine)
    yield running
    running.stop()


@pytest.fixture
def changing_sentinels(engine: str) -> Iterator[RunningSentinels]:
    """Some of the test's own: after a failover they take ten seconds to know the old primary."""
    running = RunningSentinels(engine)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cluster(engine: str) -> Iterator[RunningCluster]:
    running = RunningCluster(engine)
    yield running
    running.stop()
