"""What explanations are made of: the last things that happened to calls, and not all of them."""

import pussycache


def test_the_last_things_that_happened_are_known_and_old_ones_forgotten() -> None:
    """Of very many calls that were forgotten, the last thousands say so; the first are dropped."""
    users = pussycache.wrap({}, cached_methods=["get"])
    for number in range(10_000):
        users.get(number)
        pussycache.forget(users.get, number)
    reasons = [pussycache.explain(users.get, number).reason for number in range(9, 10_000, 10)]
    assert set(reasons[-200:]) == {"invalidated"}
    known = reasons.index("invalidated")
    assert set(reasons[:known]) == {"never-cached"}
    assert set(reasons[known:]) == {"invalidated"}
    assert known > 500


def test_the_last_of_several_counts() -> None:
    """A call that something else happened to since then says the later one."""
    users = pussycache.wrap({1: "ada"}, cached_methods={"get": pussycache.Cached(when=bool)})
    for number in range(3_000):
        users.get(1)
        pussycache.forget(users.get, 1)
        users.get(1_000 + number)
    assert pussycache.explain(users.get, 1).reason == "invalidated"
    assert pussycache.explain(users.get, 3_999).reason == "not-stored"
    users.pop(1)
    users.get(1)
    assert pussycache.explain(users.get, 1).reason == "not-stored"
