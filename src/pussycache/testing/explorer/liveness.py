"""Which variables of a suspended generator are still to be read: the others make no difference.

Knows byte code, and nothing of what is explored.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any, Final

__all__ = ["live_variables"]

_READS: Final = frozenset({"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_LOAD_FAST"})
_WRITES: Final = frozenset({"STORE_FAST", "DELETE_FAST", "STORE_FAST_STORE_FAST"})
_LEAVES: Final = frozenset(
    {
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
        "JUMP_FORWARD",
        "RAISE_VARARGS",
        "RERAISE",
        "RETURN_CONST",
        "RETURN_VALUE",
    }
)


def live_variables(code: CodeType) -> dict[int, frozenset[str]] | None:
    """Return, for each instruction, the variables that may be read after it before they are set.

    By the place of the instruction. `None` where the byte code has what is not known here:
    then each variable may matter. That of a ``for`` loop always does: it says how far the loop has
    come, which is in no other variable.
    """
    instructions = list(dis.get_instructions(code))
    reads: list[frozenset[str]] = []
    writes: list[frozenset[str]] = []
    for instruction in instructions:
        name, given = instruction.opname, instruction.argval
        named = frozenset(given if isinstance(given, tuple) else (given,))
        read, write = frozenset[str](), frozenset[str]()
        if name in _READS:
            read = named
        elif name in _WRITES:
            write = named
        elif name == "STORE_FAST_LOAD_FAST":
            # It stores first.
            read, write = frozenset([given[1]]) - {given[0]}, frozenset([given[0]])
        elif name == "LOAD_FAST_AND_CLEAR":
            read = named
        elif "FAST" in name:
            return None
        reads.append(read)
        writes.append(write)
    at = {instruction.offset: i for i, instruction in enumerate(instructions)}
    follow: list[list[int]] = []
    for i, instruction in enumerate(instructions):
        after = []
        if instruction.opname not in _LEAVES and i + 1 < len(instructions):
            after.append(i + 1)
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            after.append(at[instruction.argval])
        follow.append(after)
    caught: list[list[int]] = [[] for _ in instructions]
    handlers: Any = dis.Bytecode(code)
    for entry in handlers.exception_entries:
        for i, instruction in enumerate(instructions):
            # Anything can raise, before it has stored something.
            if entry.start <= instruction.offset < entry.end:
                caught[i].append(at[entry.target])
    turns = frozenset(_turns(instructions))
    return {
        instruction.offset: found | turns
        for instruction, found in zip(
            instructions, _after(reads, writes, follow, caught), strict=True
        )
    }


def _turns(instructions: list[dis.Instruction]) -> Iterator[str]:
    """Yield the variables of loops."""
    for i, instruction in enumerate(instructions):
        if instruction.opname != "FOR_ITER":
            continue
        count = 1
        while count:
            i += 1
            name, given = instructions[i].opname, instructions[i].argval
            if name == "UNPACK_SEQUENCE":
                count += given
            elif name in ("STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST"):
                yield from given if name == "STORE_FAST_STORE_FAST" else given[:1]
                count -= 1 if name == "STORE_FAST_STORE_FAST" else 0
            elif name == "STORE_FAST":
                yield given
            count -= 1


def _after(
    reads: list[frozenset[str]],
    writes: list[frozenset[str]],
    follow: list[list[int]],
    caught: list[list[int]],
) -> list[frozenset[str]]:
    """Solve it from behind, until nothing changes any more."""
    before: list[frozenset[str]] = [frozenset()] * len(reads)
    after = list(before)
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(reads))):
            raised = frozenset[str]().union(*[before[j] for j in caught[i]])
            after[i] = raised.union(*[before[j] for j in follow[i]])
            wanted = (after[i] - writes[i]) | reads[i] | raised
            if wanted != before[i]:
                before[i] = wanted
                changed = True
    return after
