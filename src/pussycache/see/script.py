"""``python -m pussycache advise``: runs a script with one object of a file observed, and reports.

The object is observed from the statement on that gives it its name, whether the script imports the
file, under whatever name, or is the file itself. What the report says is advisor.py's.
"""

from __future__ import annotations

import ast
import os
import runpy
import sys
import traceback
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from pussycache.errors import ConfigurationError
from pussycache.see.advisor import Report
from pussycache.see.watchers import observe, recorder_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pussycache.see.recorder import Recorder

__all__ = ["advise_script", "bound"]

_INTERRUPTED: Final = 130
_MISTAKE: Final = 2


class _Subject:
    """The object that is asked for: where its name is bound, and what was observed so far."""

    def __init__(self, said: str) -> None:
        path, colon, self.name = said.rpartition(":")
        self.path = Path(path)
        self.recorders: list[Recorder] = []
        self.refused = ""
        if not colon or not self.name.isidentifier() or not path:
            raise ConfigurationError(
                f"{said!r} does not say what to observe; write FILE.py:NAME, with the name of an "
                "object or a class at the top level of that file"
            )
        if not self.path.is_file():
            raise ConfigurationError(f"there is no file {path}; give the path of a Python file")
        self.code("__check__")

    def code(self, path: str) -> CodeType:
        """Return the file's code, in which the object is observed once it has its name."""
        try:
            tree = ast.parse(self.path.read_bytes(), path)
        except (SyntaxError, ValueError) as error:
            raise ConfigurationError(f"{self.path} is not Python: {error}") from None
        if not _observe_bindings(tree, self.name):
            raise ConfigurationError(
                f"{self.path} binds no name {self.name!r} at its top level; give one that it does"
            )
        return compile(tree, path, "exec", dont_inherit=True)

    def is_file(self, path: str | os.PathLike[str]) -> bool:
        try:
            return os.path.samefile(path, self.path)
        except OSError:
            return False

    def observed(self, thing: Any) -> Any:
        """Return what is to bear the name in the place of an object."""
        recorder = recorder_of(thing)
        if recorder is None:
            try:
                thing = observe(thing)
            except ConfigurationError as error:
                # It may be `None` that stands there until later.
                self.refused = str(error)
                return thing
            recorder = recorder_of(thing)
        if recorder is not None and recorder not in self.recorders:
            self.recorders.append(recorder)
        return thing

    def report(self) -> Report | None:
        """Return the report of the last object of that name that was used."""
        used = [r for r in self.recorders if any(w.calls for w in r.watches.values())]
        found = (used or self.recorders)[-1:]
        return Report(found[0], self.name) if found else None


_subjects: Final[list[_Subject]] = []


def bound(thing: Any) -> Any:
    """Called by the code of the file, as it was changed, with what has just got the name."""
    return _subjects[-1].observed(thing) if _subjects else thing


_BODIES: Final = ("body", "orelse", "finalbody")


def _observe_bindings(node: Any, name: str) -> bool:
    """Put a statement behind each one at the top level that binds a name; was there any?"""
    found = False
    for field in _BODIES:
        statements = getattr(node, field, None)
        if not isinstance(statements, list):
            continue
        for at in range(len(statements) - 1, -1, -1):
            statement = statements[at]
            if name in _bound_by(statement):
                call = ast.parse(
                    f"{name} = __import__({__name__!r}, fromlist=['bound']).bound({name})"
                ).body[0]
                for part in ast.walk(call):
                    ast.copy_location(part, statement)
                statements.insert(at + 1, call)
                found = True
            if not isinstance(statement, _SCOPES):
                for inside in (statement, *getattr(statement, "handlers", ()), *_cases(statement)):
                    found = _observe_bindings(inside, name) or found
    return found


_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _cases(statement: ast.stmt) -> list[ast.match_case]:
    return statement.cases if isinstance(statement, ast.Match) else []


def _bound_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement itself binds, not those in its body."""
    if isinstance(statement, _SCOPES):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return set()
    parts: list[ast.AST] = []
    if isinstance(statement, ast.Assign):
        parts = list(statement.targets)
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        parts = [statement.target]
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        parts = [item.optional_vars for item in statement.items if item.optional_vars]
    names = [one for part in parts for one in ast.walk(part) if isinstance(one, ast.Name)]
    return {one.id for one in names if isinstance(one.ctx, ast.Store)}


class _Loader(SourceFileLoader):
    """Loads the file from its source, and not from bytecode that was compiled from it before."""

    def __init__(self, name: str, path: str, subject: _Subject) -> None:
        super().__init__(name, path)
        self._subject = subject

    def get_code(self, fullname: str) -> CodeType:
        return self._subject.code(self.path)


class _Finder:
    """Finds the file, under whatever name it is imported."""

    def __init__(self, subject: _Subject) -> None:
        self._subject = subject

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or not self._subject.is_file(spec.origin):
            return None
        spec.loader = _Loader(name, spec.origin, self._subject)
        return spec


@contextmanager
def _observing(subject: _Subject, argv: Sequence[str]) -> Iterator[None]:
    before = sys.argv, sys.path[:], sys.modules.get("__main__")
    finder = _Finder(subject)
    sys.argv = list(argv)
    # As Python does for a script; where the command was given stays importable, too.
    sys.path.insert(0, str(Path(argv[0]).resolve().parent))
    sys.meta_path.insert(0, finder)
    _subjects.append(subject)
    try:
        yield
    finally:
        _subjects.remove(subject)
        sys.meta_path.remove(finder)
        sys.argv, sys.path[:] = before[0], before[1]
        if before[2] is not None:
            sys.modules["__main__"] = before[2]


def advise_script(said: str, script: Sequence[str], *, as_json: bool, html: str | None) -> int:
    """Run a script with an object observed, print the report, and return the exit code.

    :param said: ``FILE.py:NAME``.
    :param script: the script, and its arguments.
    :param as_json: print one line of JSON in the place of the text.
    :param html: where to write the report as a page, if anywhere.
    """
    try:
        subject = _Subject(said)
        if not script:
            raise ConfigurationError("there is no script to run; name it behind --")
        if not Path(script[0]).exists():
            raise ConfigurationError(f"there is no script {script[0]}")
    except ConfigurationError as error:
        return _complain(error)
    code = _run(subject, script)
    report = subject.report()
    if report is None:
        why = subject.refused or (
            f"the script did not come by the place in {subject.path} that makes {subject.name!r}; "
            "does it import that file?"
        )
        return code or _complain(why)
    _print(report.to_json() if as_json else str(report))
    if html is not None:
        try:
            Path(html).write_text(report.to_html(), encoding="utf-8")
        except OSError as error:
            _complain(f"the page could not be written: {error}")
            return code or 1
    return code


def _complain(why: object) -> int:
    print(f"python -m pussycache advise: {why}", file=sys.stderr)
    return _MISTAKE


def _print(text: str) -> None:
    # A terminal may not know all letters.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _run(subject: _Subject, script: Sequence[str]) -> int:
    """Run the script as Python would; return the exit code that it would have ended with."""
    with _observing(subject, script):
        try:
            if subject.is_file(script[0]):
                main = ModuleType("__main__")
                main.__file__ = script[0]
                sys.modules["__main__"] = main
                exec(subject.code(script[0]), main.__dict__)
            else:
                runpy.run_path(script[0], run_name="__main__")
        except SystemExit as error:
            return _exit_code(error.code)
        except KeyboardInterrupt:
            return _INTERRUPTED
        except BaseException as error:
            sys.stdout.flush()
            traceback.print_exception(type(error), error, _of_the_script(error.__traceback__))
            return 1
    return 0


def _exit_code(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, int):
        return said
    print(said, file=sys.stderr)
    return 1


def _of_the_script(trace: Any) -> Any:
    """Leave out the frames before the script's own: they are ours, and those that run it."""
    ours = {__file__, runpy.__file__, "<frozen runpy>"}
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return trace
