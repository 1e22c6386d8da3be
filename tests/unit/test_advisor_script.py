"""The command ``python -m pussycache advise``: a script is run with one object observed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOP = """\
from __future__ import annotations

import sys


class Shop:
    def __init__(self):
        self.prices = {"tea": 3}

    def price(self, product):
        return self.prices[product]

    def change(self, product, price):
        self.prices[product] = price


shop = None
if True:
    shop = Shop()
other = [shop]

if __name__ == "__main__":
    for _ in range(40):
        other[0].price("tea")
    print("arguments", sys.argv[1:])
"""

SCRIPT = """\
import sys

from shop import Shop, shop

for number in range(40):
    shop.price("tea")
for seller in (Shop(), Shop()):
    assert isinstance(seller, Shop)
    for number in range(40):
        seller.price("tea")
print("arguments", sys.argv[1:])
if "fail" in sys.argv:
    raise ValueError("it failed")
if "leave" in sys.argv:
    sys.exit(7)
if "say" in sys.argv:
    sys.exit("goodbye")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "run.py").write_text(SCRIPT)
    return tmp_path


def advise(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(part).absolute()) for part in sys.path if part])
    }
    return subprocess.run(
        [sys.executable, "-m", "pussycache", "advise", *arguments],
        cwd=folder,
        env=environment | changes,
        capture_output=True,
        text=True,
        timeout=120,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_script_is_run_with_an_object_observed(folder: Path) -> None:
    """The script gets its arguments, also those that look like ours; the report is printed."""
    done = advise(folder, "shop.py:shop", "--", "run.py", "--json", "--", "x")
    assert (done.returncode, done.stderr) == (0, "")
    assert "arguments ['--json', '--', 'x']" in done.stdout
    assert "Shop, watched for" in done.stdout
    assert "price: " in done.stdout


def test_bytecode_that_is_there_already_is_not_used(folder: Path) -> None:
    """A file that was imported before, and has its bytecode kept, is observed all the same."""
    plain = subprocess.run([sys.executable, "run.py"], cwd=folder, check=False)
    assert plain.returncode == 0
    done = advise(folder, "shop.py:shop", "--json", "--", "run.py")
    assert last_line(done)["methods"]["price"]["calls"] == 40
    plain = subprocess.run([sys.executable, "run.py"], cwd=folder, check=False)
    assert plain.returncode == 0


@pytest.mark.parametrize("options", [["--json", "shop.py:Shop"], ["shop.py:Shop", "--json"]])
def test_all_objects_of_a_class_are_observed(folder: Path, options: list[str]) -> None:
    """Given a class, the calls of all its objects are in one report."""
    done = advise(folder, *options, "--", "run.py")
    assert last_line(done)["methods"]["price"]["calls"] == 120
    assert last_line(done)["methods"]["price"]["repeated"] == 117 / 120


def test_the_file_may_be_the_script_itself(folder: Path) -> None:
    """An object is observed from the moment it has its name, where the file is run, too."""
    done = advise(folder, "shop.py:shop", "--json", "--", "shop.py", "fail")
    assert done.returncode == 0
    assert last_line(done)["methods"]["price"]["calls"] == 40


def test_the_file_may_be_part_of_a_package(folder: Path) -> None:
    """A file is known by its place, under whatever name it is imported."""
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "shop.py").rename(folder / "pack" / "shop.py")
    (folder / "run.py").write_text(SCRIPT.replace("from shop", "from pack.shop"))
    done = advise(folder, "pack/shop.py:shop", "--json", "--", "run.py")
    assert last_line(done)["methods"]["price"]["calls"] == 40


@pytest.mark.parametrize(
    ("argument", "code", "says"),
    [("fail", 1, "ValueError: it failed"), ("leave", 7, ""), ("say", 1, "goodbye")],
)
def test_a_script_that_fails_is_reported_all_the_same(
    folder: Path, argument: str, code: int, says: str
) -> None:
    """Its traceback or its last words are shown, then what was seen; the exit code is its own."""
    done = advise(folder, "shop.py:shop", "--json", "--", "run.py", argument)
    assert done.returncode == code
    assert says in done.stderr
    assert "see/script.py" not in done.stderr
    assert "runpy" not in done.stderr
    assert last_line(done)["methods"]["price"]["calls"] == 40


def test_a_page_is_written(folder: Path) -> None:
    """`--html` writes the report as a page beside printing it."""
    done = advise(folder, "shop.py:shop", "--html", "report.html", "--", "run.py")
    assert done.returncode == 0
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")
    assert "Shop, watched for" in done.stdout
    done = advise(folder, "shop.py:shop", "--html", "no/report.html", "--", "run.py")
    assert done.returncode == 1
    assert "the page could not be written" in done.stderr


def test_a_terminal_that_knows_few_letters_gets_the_report(folder: Path) -> None:
    """Where the output cannot show a letter, it is written as a code."""
    done = advise(folder, "shop.py:shop", "--", "run.py", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "\\xb5s" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["shop.py", "--", "run.py"], "write FILE.py:NAME"),
        (["shop.py:no-name", "--", "run.py"], "write FILE.py:NAME"),
        (["shop.py:nothing", "--", "run.py"], "binds no name 'nothing'"),
        (["missing.py:shop", "--", "run.py"], "no file missing.py"),
        (["broken.py:shop", "--", "run.py"], "is not Python"),
        (["shop.py:shop"], "no script to run"),
        (["shop.py:shop", "--", "missing.py"], "no script missing.py"),
        (["shop.py:shop", "--", "aside.py"], "does it import that file?"),
        (["plain.py:number", "--", "plain.py"], "no methods"),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: list[str], says: str) -> None:
    """What cannot be done is said in one line, and the exit code is 2."""
    (folder / "broken.py").write_text("shop = (")
    (folder / "aside.py").write_text("pass")
    (folder / "plain.py").write_text("number = object()")
    done = advise(folder, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_only_advise_takes_a_script() -> None:
    """Another command with something behind `--` is a mistake."""
    done = subprocess.run(
        [sys.executable, "-m", "pussycache", "demo", "--", "x"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "only advise takes a script" in done.stderr


@pytest.mark.parametrize(
    "source",
    [
        "a, (shop, c) = 1, (Shop(), 2)",
        "shop: Shop = Shop()",
        "try:\n    shop = Shop()\nfinally:\n    pass",
        "try:\n    raise KeyError\nexcept KeyError:\n    shop = Shop()",
        "for _ in [1]:\n    shop = Shop()",
        "with open(__file__):\n    shop = Shop()",
        "match 1:\n    case 1:\n        shop = Shop()",
        "if shop := Shop():\n    pass\nshop = shop",
    ],
)
def test_a_name_is_observed_however_it_is_bound(folder: Path, source: str) -> None:
    """Unpacking, annotations and blocks of all kinds at the top level bind names, too."""
    (folder / "kinds.py").write_text(
        "class Shop:\n    def price(self):\n        return 1\n\n"
        f"{source}\n\nfor _ in range(3):\n    shop.price()\n"
    )
    done = advise(folder, "kinds.py:shop", "--json", "--", "kinds.py")
    assert done.returncode == 0, done.stderr
    assert last_line(done)["methods"]["price"]["calls"] == 3
