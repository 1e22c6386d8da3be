"""The command ``python -m pussycache demo``, its object, and what it says of a wrong wrapper."""

import functools
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pussycache
from pussycache import cli, demo

COMMAND = [sys.executable, "-m", "pussycache"]


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PUSSYCACHE_DISABLED"}
    # The command must run the library that is being tested, also where it is not installed.
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | changes


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(), capture_output=True, text=True, timeout=120
    )


def write(root: Path, **modules: str) -> None:
    for name, text in modules.items():
        path = root / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


# The object.


@pytest.fixture
def library(tmp_path):
    write(
        tmp_path,
        top="import pack.inner\n\nclass Cat:\n    def purr(self): pass\n\nif pack:\n    fur = 1\n",
        other="from pack import (\n    inner as i,\n)\n\nasync def purr(): pass\npurrs: int = 2\n",
        unrelated="# top, pack and inner are only mentioned: purr = 1\n",
        nested="def late():\n    try:\n        import top\n    except ImportError:\n        pass\n",
    )
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from . import inner\n")
    (tmp_path / "pack" / "inner.py").write_text("import top\n")
    (tmp_path / "pack" / "beside.py").write_text("from .inner import x\n")
    (tmp_path / "pack" / "sub").mkdir()
    (tmp_path / "pack" / "sub" / "__init__.py").write_text("from ..inner import x\n")
    return demo.Library(tmp_path)


def test_an_outline_lists_what_a_module_defines(library):
    """Classes, their methods, and names under an ``if`` are told with their lines, in order."""
    assert library.outline("top") == (
        ("class", "Cat", 3),
        ("def", "Cat.purr", 4),
        ("name", "fur", 7),
    )
    assert library.outline("other") == (("def", "purr", 5), ("name", "purrs", 6))


def test_a_package_is_outlined_by_its_init(library):
    """A package's outline is that of its ``__init__.py``."""
    assert library.outline("pack") == ()


def test_an_unknown_module_is_a_lookup_error(library):
    """The outline of a module that is not there is a `LookupError` that names it."""
    with pytest.raises(LookupError, match="'absent'"):
        library.outline("absent")


def test_who_defines_finds_functions_and_methods(library):
    """Functions and methods of that very name are found, mentions and longer names are not."""
    assert library.who_defines("purr") == ("other.purr", "top.Cat.purr")
    assert library.who_defines("bark") == ()


def test_who_imports_understands_every_form(library):
    """Absolute and relative imports of a submodule are found, mentions are not."""
    assert library.who_imports("pack.inner") == ("other", "pack", "pack.beside", "pack.sub", "top")


def test_who_imports_finds_the_package_behind_a_submodule(library):
    """Whoever imports a submodule imports its package, too."""
    assert library.who_imports("pack") == ("other", "pack", "pack.beside", "pack.sub", "top")


def test_who_imports_looks_inside_functions(library):
    """An import inside a function and a ``try`` counts."""
    assert "nested" in library.who_imports("top")


def test_a_rewrite_is_seen_by_all_questions(library):
    """After a rewrite each question is answered by the new text."""
    library.rewrite("unrelated", "import top\n\ndef purr(): pass\n")
    assert library.outline("unrelated") == (("def", "purr", 3),)
    assert "unrelated.purr" in library.who_defines("purr")
    assert "unrelated" in library.who_imports("top")


# The report, on a standard library of three modules.


@pytest.fixture
def stdlib(tmp_path):
    root = tmp_path / "stdlib"
    root.mkdir()
    write(
        root, textwrap="def wrap(text): pass\n", heapq="import textwrap\n", stranger="import json\n"
    )
    (root / "json").mkdir()
    (root / "json" / "__init__.py").write_text("def dumps(thing): pass\n")
    return root


def forgetful(library):
    return pussycache.wrap(
        library,
        cached_methods=["outline", "who_defines", "who_imports"],
        invalidate_methods={},
    )


def mistaken(library):
    return pussycache.wrap(
        library,
        cached_methods={
            "outline": 60,
            "who_defines": pussycache.Cached(key=lambda name: 0),
            "who_imports": 60,
        },
        invalidate_methods={"rewrite": ["*"]},
    )


def test_what_a_write_forgets_and_keeps_is_told(stdlib):
    """The rewritten module's outline and all searches are forgotten, other outlines are kept."""
    write = demo.run(stdlib=stdlib).write
    forgotten = {str(question) for question in write.forgotten}
    assert {"outline('textwrap')", "who_defines('dumps')", "who_imports('json')"} <= forgotten
    assert [str(question) for question in write.kept] == ["outline('json')", "outline('heapq')"]
    assert "by rewrite(module='textwrap'" in write.why


def test_the_answers_after_a_write_are_new_and_right(stdlib):
    """Each of the three methods gives one more thing after the write, and is right."""
    report = demo.run(stdlib=stdlib)
    assert report.ok
    assert all(after > before and right for _, before, after, right in report.write.changed)


def test_only_the_standard_library_is_copied(stdlib):
    """A module that somebody put beside the standard library's is no part of the demo."""
    assert demo.run(stdlib=stdlib).modules == 3


def test_the_source_itself_is_left_alone(stdlib):
    """The write changes the copy."""
    demo.run(stdlib=stdlib)
    assert (stdlib / "textwrap.py").read_text() == "def wrap(text): pass\n"


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_wrapper_that_forgets_nothing_is_found_out(stdlib, capsys, as_json):
    """Without rules the old answers stay: the demo names them and the exit code is 1."""
    run = functools.partial(demo.run, stdlib=stdlib, wrapper=forgetful)
    assert cli.run_demo(as_json=as_json, run=run) == 1
    out = capsys.readouterr().out
    if as_json:
        said = json.loads(out)["write"]
        assert (said["forgotten"], said["new_answer_right"]) == ([], False)
    else:
        assert "every answer equal: no" in out
        assert "wrong after the write: who_imports('json')" in out


def test_a_wrapper_that_mixes_up_answers_is_found_out(stdlib, capsys):
    """One key for different questions gives wrong answers: the demo names them, exit code 1."""
    run = functools.partial(demo.run, stdlib=stdlib, wrapper=mistaken)
    assert cli.run_demo(as_json=False, run=run) == 1
    out = capsys.readouterr().out
    assert "every answer equal: no" in out
    assert "wrong with the wrapper: who_defines(" in out


def test_a_python_without_source_is_told_so(tmp_path, capsys):
    """Where there is no source, one line on stderr says where it was sought; exit code 1."""
    run = functools.partial(demo.run, stdlib=tmp_path / "python313.zip")
    assert cli.run_demo(as_json=True, run=run) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "python313.zip" in err
    assert err.count("\n") == 1


# What is seen on a terminal.


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch, stdlib):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def shown() -> tuple[str, str]:
        out, err = Terminal(), Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        cli.run_demo(as_json=False, run=functools.partial(demo.run, stdlib=stdlib))
        return out.getvalue(), err.getvalue()

    return shown


def test_a_terminal_sees_colour_and_progress(on_terminal):
    """On a terminal the verdict is green, and a line on stderr tells progress and is removed."""
    out, progress = on_terminal()
    assert "\x1b[32mevery answer equal: yes\x1b[0m" in out
    assert progress.startswith("\rasking without the wrapper: 0 of ")
    assert progress.rpartition("\r")[2] == ""
    assert "\n" not in progress


@pytest.mark.parametrize(
    ("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")], ids=["NO_COLOR", "dumb"]
)
def test_colour_can_be_refused(on_terminal, monkeypatch, name, value):
    """With NO_COLOR, and on a terminal that knows none, nothing is coloured."""
    monkeypatch.setenv(name, value)
    out, _ = on_terminal()
    assert "\x1b" not in out


# The command itself, on the real standard library.


@pytest.fixture(scope="module")
def piped():
    # Both at once: each takes some seconds.
    running = [
        subprocess.Popen(
            [*COMMAND, "demo", *more],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for more in ([], ["--json"])
    ]
    return [(*process.communicate(timeout=300), process.returncode) for process in running]


def test_piped_output_is_plain(piped):
    """Piped, the output is ASCII lines without escape codes and carriage returns; stderr empty."""
    out, err, code = piped[0]
    assert code == 0
    assert err == b""
    text = out.replace(os.linesep.encode(), b"\n").decode("ascii")
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.endswith("every answer equal: yes\n")
    assert max(map(len, text.splitlines())) <= 88


def test_json_is_consistent(piped):
    """With --json, stdout is one object whose figures agree with one another."""
    out, err, code = piped[1]
    said = json.loads(out)
    assert (code, err) == (0, b"")
    assert said["python"] == ".".join(map(str, sys.version_info[:3]))
    assert said["hits"] + said["misses"] == said["questions"]
    assert said["misses"] == said["different_questions"]
    assert said["hit_ratio"] == pytest.approx(said["hits"] / said["questions"], abs=1e-4)
    assert said["speedup"] == pytest.approx(
        said["seconds_without"] / said["seconds_with"], abs=0.01
    )
    assert said["speedup"] > 1
    assert said["answers_equal"] is True
    written = said["write"]
    assert written["method"] == "rewrite"
    assert written["new_answer_right"] is True
    assert not set(written["forgotten"]) & set(written["kept"])
    assert len(written["forgotten"]) + len(written["kept"]) == said["different_questions"]


def test_without_a_command_the_help_is_shown():
    """Alone, the command shows its help, with the commands that exist, and the exit code is 2."""
    done = command()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "demo" in done.stderr


def test_help_is_shown_on_request():
    """--help prints the help to stdout, and the exit code is 0."""
    done = command("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout


def test_an_unknown_command_is_an_error():
    """A command that does not exist is named, with those that do; exit code 2, no traceback."""
    done = command("nonsense")
    assert done.returncode == 2
    assert "'nonsense'" in done.stderr
    assert "demo" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_library_does_not_import_its_command():
    """Importing the library imports neither the command, nor the demo, nor argparse."""
    look = "import sys, pussycache; print([m for m in sys.modules if m in %r])"
    unwanted = ["argparse", "pussycache.cli", "pussycache.demo"]
    done = subprocess.run(
        [sys.executable, "-c", look % unwanted], env=environment(), capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is no signal there")
def test_ctrl_c_cleans_up(tmp_path):
    """Interrupted, the command removes its copy and ends with exit code 130, no traceback."""
    script = (
        "import signal, sys\n"
        # A test run in the background may have told its children to ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        # It is not over before that.
        "import time\n"
        "from pussycache.demo import comparison\n"
        "comparison.questions_for = lambda library: time.sleep(60)\n"
        "from pussycache.cli import main\n"
        "sys.exit(main(['demo']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("pussycache-demo-*/textwrap.py")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is told differently there")
def test_a_reader_that_leaves_is_no_traceback(stdlib, tmp_path):
    """Where nobody reads the output any more, nothing is said of it."""
    script = (
        "import functools, sys\n"
        "from pathlib import Path\n"
        "from pussycache import cli, demo\n"
        f"run = functools.partial(demo.run, stdlib=Path({str(stdlib)!r}))\n"
        "cli.run_demo = functools.partial(cli.run_demo, run=run)\n"
        "sys.exit(cli.main(['demo']))\n"
    )
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), stdout=writes, stderr=subprocess.PIPE
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, b"")
