"""What the tests of old values, timeouts and batches load from, and how they wait for its end.

Fixtures are in gates.py.
"""

import threading

from pussycache.engine import background


class Source:
    """Each load returns its number, or does what it is told."""

    def __init__(self):
        self.loads = 0
        self.act = lambda: None
        self.threads = []

    def read(self, key):
        self.loads += 1
        number = self.loads
        self.threads.append(threading.current_thread())
        self.act()
        return number

    async def aread(self, key):
        self.loads += 1
        number = self.loads
        held = self.act()
        if held is not None:
            await held
        return number

    def outer(self, key):
        return self.read(key)

    def write(self, key):
        pass


def settled(until):
    """Wait until nothing goes on in the background any more."""
    until(lambda: not background._under_way, "a load in the background did not end")
