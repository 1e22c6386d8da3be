"""`Library`: the demo's slow object, as a user's would be.

It knows nothing of caching: no import from this library belongs here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Definition", "Library"]


class Definition(NamedTuple):
    """Something that a module defines: a function, a class, a method or a name."""

    kind: str
    name: str
    line: int


class Library:
    """A folder of Python modules, and questions about them that take parsing to answer."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def outline(self, module: str) -> tuple[Definition, ...]:
        """Return what a module defines, its classes' methods included, in the order of its text."""
        return tuple(_definitions(ast.parse(self._path(module).read_bytes())))

    def who_defines(self, name: str) -> tuple[str, ...]:
        """Return the dotted names under which modules define a name, sorted."""
        found = set()
        for path, text in self._texts():
            # Parsing is what takes long: a text without the word cannot define it.
            if _has_word(text, name):
                for definition in _definitions(ast.parse(text)):
                    if definition.name.rpartition(".")[2] == name:
                        found.add(f"{self._name(path)}.{definition.name}")
        return tuple(sorted(found))

    def who_imports(self, module: str) -> tuple[str, ...]:
        """Return the modules that import a module or something from it, sorted."""
        found = set()
        word = module.rpartition(".")[2]
        for path, text in self._texts():
            importer = self._name(path)
            # Inside a package, `from . import x` imports the package without naming it.
            if _has_word(text, word) or f"{importer}.".startswith(f"{module}."):
                package = importer if path.stem == "__init__" else importer.rpartition(".")[0]
                if module in _imported(ast.parse(text), package):
                    found.add(importer)
        return tuple(sorted(found))

    def source(self, module: str) -> str:
        """Return the text of a module."""
        return self._path(module).read_text(encoding="utf-8")

    def rewrite(self, module: str, source: str) -> None:
        """Replace the text of a module."""
        self._path(module).write_text(source, encoding="utf-8")

    def _path(self, module: str) -> Path:
        path = self.root.joinpath(*module.split("."))
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
        raise LookupError(f"no module {module!r} in {self.root}")

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _texts(self) -> Iterator[tuple[Path, bytes]]:
        for path in self.root.rglob("*.py"):
            yield path, path.read_bytes()


def _has_word(text: bytes, word: str) -> bool:
    # `in` is many times faster than the pattern, and mostly says no.
    encoded = word.encode()
    return encoded in text and re.search(rb"\b%b\b" % re.escape(encoded), text) is not None


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    # Nothing is defined or imported in expressions, of which most of a tree consists.
    for block in ("body", "handlers", "orelse", "finalbody", "cases"):
        yield from getattr(node, block, ())


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo += _inside(node)


def _definitions(tree: ast.AST, prefix: str = "") -> Iterator[Definition]:
    for node in _inside(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield Definition("def", prefix + node.name, node.lineno)
            case ast.ClassDef():
                yield Definition("class", prefix + node.name, node.lineno)
                yield from _definitions(node, f"{prefix}{node.name}.")
            case ast.Assign(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        yield Definition("name", prefix + target.id, node.lineno)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield Definition("name", prefix + name, node.lineno)
            case _:
                # What an if, a try or a with defines, the module defines.
                yield from _definitions(node, prefix)


def _imported(tree: ast.AST, package: str) -> set[str]:
    """Return the dotted names that a module of a package imports, with all that they lie in."""
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: 1 - node.level or None] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names.update(f"{start}.{alias.name}" for alias in node.names)
    return {
        ".".join(parts[:length])
        for parts in [name.split(".") for name in names]
        for length in range(1, len(parts) + 1)
    }
