"""An object whose methods read and write what all processes share, wrapped as each of them does."""

from collections.abc import Callable
from typing import Any

import pussycache
from pussycache import Cached, Forget

ONE = [Forget("get", "name"), Forget("aget", "name"), Forget("many", names="name")]


class Price:
    """Something in a database: `amounts`. `hold` is called in the midst of loads and writes."""

    def __init__(self, amounts: dict[str, int], hold: Callable[[], object] = bool) -> None:
        self.amounts = amounts
        self.hold = hold
        self.loads = 0

    def __cache_identity__(self) -> str:
        return "prices"

    def get(self, name: str) -> int:
        self.loads += 1
        amount = self.amounts[name]
        self.hold()
        return amount

    async def aget(self, name: str) -> int:
        self.loads += 1
        return self.amounts[name]

    def tagged(self, name: str) -> int:
        return self.get(name)

    def many(self, names: list[str]) -> dict[str, int]:
        self.loads += 1
        return {name: self.amounts[name] for name in names}

    def set(self, name: str, amount: int) -> None:
        self.amounts[name] = amount

    def held_set(self, name: str, amount: int) -> None:
        self.hold()
        self.amounts[name] = amount
        self.hold()

    async def aset(self, name: str, amount: int) -> None:
        self.amounts[name] = amount

    def set_all(self, amount: int) -> None:
        for name in self.amounts:
            self.amounts[name] = amount

    def fail(self, name: str, amount: int) -> None:
        self.amounts[name] = amount
        raise ArithmeticError


def wrapped(amounts: dict[str, int], cache: Any, hold: Callable[[], object] = bool) -> Price:
    """Return one over a cache, with all that it declares."""
    return pussycache.wrap(
        Price(amounts, hold),
        cache,
        cached_methods={
            "get": Cached(),
            "aget": Cached(),
            "tagged": Cached(tags=["price:{name}"]),
            "many": Cached(each="names"),
        },
        invalidate_methods={
            "set": ONE,
            "held_set": ONE,
            "aset": ONE,
            "fail": ONE,
            "set_all": ["*"],
        },
    )
