"""What tests of interleavings are made with: gates, threads that report, and a loop with an end.

Every wait has an end: a deadlock fails a test and hangs none.
"""

import asyncio
import signal
import threading
import time

import pytest

PATIENCE = 30


class Gate:
    """A place in a target's method where it is held until the test lets it go on."""

    def __init__(self):
        self.arrived = threading.Event()
        self.opened = threading.Event()

    def hold(self):
        """Called by the target: say that we are here, and wait."""
        self.arrived.set()
        if not self.opened.wait(PATIENCE):
            raise TimeoutError("nobody opened the gate")

    def reached(self):
        """Called by the test: wait until the target is here."""
        assert self.arrived.wait(PATIENCE), "nobody came to the gate"

    def open(self):
        self.opened.set()


class Running:
    """A call in a thread of its own."""

    def __init__(self, function, args, kwargs):
        self._outcome = []

        def run():
            try:
                self._outcome.append((function(*args, **kwargs), None))
            except BaseException as error:
                self._outcome.append((None, error))

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def wait(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "a call does not come back"

    def raised(self):
        """The type of what it raised, `None` for nothing."""
        self.wait()
        error = self._outcome[0][1]
        return None if error is None else type(error)

    def result(self):
        self.wait()
        value, error = self._outcome[0]
        if error is not None:
            raise error
        return value


@pytest.fixture(autouse=True)
def watchdog():
    """Raise in the main thread, when a test hangs in a call of its own."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def bark(number, frame):
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, 6 * PATIENCE)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def spawn():
    """Start a call in a thread; all have to come back before the test is over."""
    running = []

    def start(function, *args, **kwargs):
        running.append(Running(function, args, kwargs))
        return running[-1]

    yield start
    for one in running:
        one.wait()


@pytest.fixture
def gate():
    """A gate, opened at the end whatever happens."""
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def new_gate():
    """A maker of gates, for tests that need several."""
    made = []

    def make():
        made.append(Gate())
        return made[-1]

    yield make
    for one in made:
        one.open()


@pytest.fixture
def run():
    """Run a coroutine function in a loop of its own, with an end."""

    def start(main):
        async def bounded():
            async with asyncio.timeout(PATIENCE):
                return await main()

        return asyncio.run(bounded())

    return start


@pytest.fixture
def until():
    """Wait until something is true, or fail."""

    def wait(condition, what="it never came true"):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.001)

    return wait
