"""Makes the examples in README.md, docs/ and the docstrings of src/ into tests.

The examples import `pussycache` as it is installed (under tox: the wheel), as a reader's do.
"""

from doctest import ELLIPSIS
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from patience import patient  # noqa: F401 - a fixture, of all tests
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

# How long an example takes says nothing of it on a machine that has other things to do.
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

SRC = Path(__file__).parent / "src"


def as_main(namespace: dict[str, Any]) -> None:
    """Gives classes defined in a page the module that they have when a reader runs it."""
    namespace["__name__"] = "__main__"


pages = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=as_main,
    fixtures=["patient"],
)
docstrings = Sybil(
    parsers=[DocTestParser(optionflags=ELLIPSIS)],
    # Before Python 3.13 two stars stand for one folder.
    patterns=["src/pussycache/*/*/*.py", "src/pussycache/*/*.py", "src/pussycache/*.py"],
)

pytest_collect_file = (pages + docstrings).pytest()


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Keeps pytest from importing src as a package of tests, beside the installed one."""
    if path.is_relative_to(SRC):
        return pytest.Dir.from_parent(parent, path=path)
    return None
