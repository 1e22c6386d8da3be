"""Properties whose getter is cached: remembered, and made wrong, like a method."""

import gc
import weakref

from pussycache import Forget, cached, invalidates
from pussycache.testing import FakeClock


class Report:
    def __init__(self):
        self.loads = 0
        self.act = lambda: None

    @property
    @cached(ttl=10, stale_for=5)
    def total(self):
        """How much it is."""
        self.loads += 1
        number = self.loads
        self.act()
        return number

    @total.setter
    @invalidates("total")
    def total(self, value):
        pass

    @invalidates(Forget("total"))
    def add(self):
        pass


def test_a_property_is_remembered_for_each_instance():
    """The getter runs once an instance, until its ttl is over."""
    with FakeClock() as clock:
        one, other = Report(), Report()
        assert [one.total, one.total, other.total] == [1, 1, 1]
        clock.advance(15)
        assert [one.total, one.total] == [2, 2]
    assert Report.total.__doc__ == "How much it is."


def test_a_write_makes_it_wrong():
    """A method, or the property's own setter, invalidates it as it would a method."""
    report = Report()
    assert report.total == 1
    report.add()
    assert [report.total, report.total] == [2, 2]
    report.total = 7
    assert report.total == 3


def test_a_write_while_it_is_computed(gate, spawn):
    """What a write overtakes is not stored."""
    report = Report()
    report.act = gate.hold
    early = spawn(lambda: report.total)
    gate.reached()
    report.add()
    report.act = lambda: None
    gate.open()
    assert early.result() == 1
    assert [report.total, report.total] == [2, 2]


def test_an_old_value_is_renewed_beside(until):
    """Its policy is that of a method: stale_for serves the old value meanwhile."""
    with FakeClock() as clock:
        report = Report()
        assert report.total == 1
        clock.advance(10)
        assert report.total == 1
        until(lambda: report.total == 2, "it was not renewed")


def test_instances_are_not_kept_alive():
    """A remembered property goes with its instance."""
    report = Report()
    assert report.total == 1
    alive = weakref.ref(report)
    del report
    gc.collect()
    assert alive() is None
