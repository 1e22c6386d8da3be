"""The scripts in examples/: each prints what its first lines say."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_prints_what_it_says(script: Path) -> None:
    """A script in examples/ runs without a warning and prints what its docstring announces."""
    says = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert says is not None
    expected = textwrap.dedent(says.partition("Prints:\n")[2]).strip()
    run = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60
    )
    assert run.stderr == ""
    assert run.returncode == 0
    assert run.stdout.strip() == expected


def test_there_are_examples() -> None:
    """The folder was found: no examples would make the test above pass by doing nothing."""
    names = {"wrap_client", "decorated_repository", "django_shop", "fastapi_service"}
    assert names <= {script.stem for script in SCRIPTS}
