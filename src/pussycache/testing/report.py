"""What an audit found: `Report`, with a `Use` for each method and a `Finding` for each pair.

How it was found is not said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Finding", "Report", "Use"]


@dataclass(frozen=True)
class Use:
    """What one method did to the attributes of its object, in all the calls that were made.

    ``reads`` and ``writes`` are names of attributes. ``items`` says where inside them something was
    changed: ``"_rows[7]"``. ``raised`` is the exception that every call of it ended with, if so.
    """

    method: str
    reads: frozenset[str]
    writes: frozenset[str]
    items: frozenset[str]
    raised: str | None


@dataclass(frozen=True)
class Finding:
    """Two methods, the attributes by which they hang together, and what the declaration says.

    ``kind`` is

    - ``"undeclared"``: ``write`` changed what ``read`` reads, and is not declared to;
    - ``"cached-write"``: ``write`` is cached, and changes what ``read`` reads whenever it runs; but
      answered from memory it does not run;
    - ``"unneeded"``: it is declared, but ``write`` changed nothing that ``read`` reads.
    """

    kind: str
    write: str
    read: str
    attributes: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        what = ", ".join(self.attributes)
        if self.kind == "undeclared":
            return (
                f"{self.write} changed {what}, which {self.read} reads: not declared; {self.remedy}"
            )
        if self.kind == "cached-write":
            return (
                f"{self.write} changed {what}, which {self.read} reads: but it is cached, and "
                f"changes nothing when it is answered from memory; {self.remedy}"
            )
        return (
            f"{self.write} is declared to make {self.read} wrong, but nothing that {self.read} "
            f"reads was changed; {self.remedy}"
        )


@dataclass(frozen=True)
class Report:
    """What an audit found. ``str(report)`` is a text, ``report["get_user"]`` one method's `Use`.

    ``not_called`` are methods that are declared and of which no call was given; ``notes`` say what
    could not be seen.
    """

    name: str
    uses: tuple[Use, ...]
    findings: tuple[Finding, ...]
    not_called: tuple[str, ...]
    notes: tuple[str, ...]

    def __getitem__(self, method: str) -> Use:
        for use in self.uses:
            if use.method == method:
                return use
        raise KeyError(f"{method!r} was not called; called were: {', '.join(self._called())}")

    def _called(self) -> list[str]:
        return [use.method for use in self.uses]

    def check(self) -> None:
        """Fail, in a test, if something is not declared, or was not looked at.

        What is declared and not needed costs loads and makes no answer wrong: it does not fail.

        :raises AssertionError: with the findings that matter as its text.
        """
        wrong = [str(found) for found in self.findings if found.kind != "unneeded"]
        wrong += [f"{name} is declared, but was not called" for name in self.not_called]
        if wrong:
            raise AssertionError("\n".join([f"audit of {self.name}:", *wrong]))

    def __str__(self) -> str:
        lines = [f"audit of {self.name}"]
        rows = [("method", "reads", "changes")]
        for use in self.uses:
            inside = {item.partition("[")[0] for item in use.items}
            changes = sorted(use.items | (use.writes - inside))
            rows.append((use.method, ", ".join(sorted(use.reads)) or "-", _few(changes) or "-"))
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines += [f"  {a:{first}}  {b:{second}}  {c}" for a, b, c in rows]
        said = [str(found) for found in self.findings]
        said += [f"{name} is declared, but was not called" for name in self.not_called]
        said = said or ["nothing is missing from the declaration, as far as was seen"]
        return "\n".join([*lines, *said, *self.notes])


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:6], *(["..."] if len(names) > 6 else [])])
