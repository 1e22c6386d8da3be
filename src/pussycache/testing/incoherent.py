"""What comes of an assertion: `IncoherentError`, which tells what is wrong, or `Tried`.

How it is found is not said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pussycache.testing.calls import shown

if TYPE_CHECKING:
    from pussycache.testing.calls import MethodCall

__all__ = ["IncoherentError", "Tried"]


class IncoherentError(AssertionError):
    """A call was answered wrongly; raised by `assert_coherent`.

    ``history`` is what was done, shortest first found, a text for each step. ``read`` is the call
    that was answered wrongly, ``got`` its answer and ``wanted`` the right one. ``write`` is the
    call that made it wrong, `None` where none is to blame. ``remedy`` says what to change, ``seed``
    how to find it again.
    """

    def __init__(
        self,
        history: tuple[str, ...],
        read: MethodCall,
        got: object,
        wanted: object,
        write: MethodCall | None,
        remedy: str,
        seed: int,
    ) -> None:
        self.history = history
        self.read = read
        self.got = got
        self.wanted = wanted
        self.write = write
        self.remedy = remedy
        self.seed = seed
        steps = "".join(f"\n  {number}. {step}" for number, step in enumerate(history, 1))
        super().__init__(
            f"{read} answered {shown(got)}, and a bare object {shown(wanted)}.{steps}\n"
            f"{remedy}.\n(seed={seed})"
        )


@dataclass(frozen=True)
class Tried:
    """What `assert_coherent` has tried, all of it in vain.

    ``histories`` were made one call after the other, ``interleavings`` with a load and a write that
    overlap. ``complete`` is false where the time was over before everything asked for was tried.
    """

    histories: int
    interleavings: int
    complete: bool
    seed: int
