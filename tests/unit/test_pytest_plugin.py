"""The fixtures that come with the package, as the tests of a user's project see them."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = "pytester"

PAGE = Path(__file__).parents[2] / "docs" / "pytest.md"

CARELESS = """
import pussycache

class Shop:
    def products(self):
        return ["green", "black"]

def careless():
    shop = pussycache.wrap(Shop(), cached_methods=["products"])
    shop.products().append("mine alone")
    return shop.products()
"""

AS_ERROR = ("-W", "error::pussycache.MutatedValueWarning")


@pytest.fixture
def run(pytester):
    """Run pytest in a folder of its own; without another plugin that would be slow to load."""
    return functools.partial(pytester.runpytest, "-p", "no:hypothesispytest")


def test_the_plugin_is_found(run):
    """pytest finds the fixtures by itself, and says what they are for."""
    result = run("--fixtures")
    result.stdout.fnmatch_lines(
        [
            "*fixtures defined from pussycache.testing.pytest_plugin*",
            "pussycache_guard -- *",
            "*Guard every value*",
            "pussycache_clock -- *",
            "pussycache_disabled -- *",
        ]
    )


def test_the_plugin_can_be_left_out(pytester, run):
    """`-p no:pussycache` does without it."""
    pytester.makepyfile("def test_it(pussycache_clock): pass")
    assert run().ret == 0
    result = run("-p", "no:pussycache")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'pussycache_clock' not found*"])


def test_without_the_guard(pytester, run):
    """A test in which a shared value is changed passes, where nobody asks for the guard."""
    pytester.makepyfile(
        CARELESS + "def test_it():\n    assert careless() == ['green', 'black', 'mine alone']\n"
    )
    run(*AS_ERROR).assert_outcomes(passed=1)


def test_with_the_guard(pytester, run):
    """With the guard the change is warned about, and fails the test where warnings are errors."""
    pytester.makepyfile(
        CARELESS + "def test_it(pussycache_guard):\n    assert careless() == ['green', 'black']\n"
    )
    result = run("-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*MutatedValueWarning: what Shop.products() returned was changed*"]
    )
    result = run(*AS_ERROR)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*MutatedValueWarning*Shop.products()*"])


def test_the_guard_ends_with_the_test(pytester, run):
    """Only the test that asks for the guard is guarded."""
    pytester.makepyfile(
        CARELESS
        + "def test_one(pussycache_guard):\n    pass\n"
        + "def test_two():\n    assert careless() == ['green', 'black', 'mine alone']\n"
    )
    run(*AS_ERROR).assert_outcomes(passed=2)


def test_the_guard_for_all_tests(pytester, run):
    """A conftest.py can have every test guarded."""
    pytester.makeconftest(
        "import pytest\n@pytest.fixture(autouse=True)\ndef guard(pussycache_guard): pass"
    )
    pytester.makepyfile(CARELESS + "def test_it():\n    careless()\n")
    run(*AS_ERROR).assert_outcomes(failed=1)


def test_the_clock_and_the_switch_end_with_the_test(pytester, run):
    """After a test with a clock or without caching, time goes on and calls are cached."""
    pytester.makepyfile(
        """
        import pussycache

        def asked():
            words = pussycache.wrap({"a": 1}, cached_methods={"copy": 60})
            return words.copy() is words.copy()

        def test_clock(pussycache_clock):
            cache = pussycache.MemoryCache(ttl=5)
            cache.set("a", 1)
            pussycache_clock.advance(4.9)
            assert "a" in cache
            pussycache_clock.advance(0.1)
            assert "a" not in cache

        def test_disabled(pussycache_disabled):
            assert not asked()

        def test_both(pussycache_disabled, pussycache_clock):
            assert not asked()

        def test_after():
            assert asked()
            from pussycache.engine import clock
            import time
            assert clock.hot["now"] is clock.hot["time"] is time.monotonic
        """
    )
    run().assert_outcomes(passed=4)


def test_the_tests_on_the_page(pytester, run):
    """The tests that the page shows pass as they stand there, also with its conftest.py."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (conftest,) = [block for block in blocks if "autouse" in block]
    pytester.makepyfile("\n".join([block for block in blocks if block is not conftest]))
    run().assert_outcomes(passed=3)
    pytester.makeconftest("import pytest\n" + conftest)
    run(*AS_ERROR).assert_outcomes(passed=3)


@pytest.mark.parametrize("name", ["asyncio", "unittest.mock", "hypothesis", "pussycache.demo"])
def test_it_costs_a_run_of_pytest_little(name):
    """The plugin, which pytest imports whenever it starts, imports nothing that takes long."""
    program = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import pussycache.testing.pytest_plugin\n"
        f"print({name!r} in set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == "False"
