"""The estimator of reuse distances, against an LRU cache that is played through."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from pussycache.see.shards import COLD, NEAR, Reuse, bucket_of, least_of, mixed

keys = st.lists(st.integers(0, 400), max_size=600)


def lru_hits(uses: list[int], entries: int) -> int:
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in uses:
        if key in cache:
            hits += 1
            cache.move_to_end(key)
        else:
            cache[key] = None
            if len(cache) > entries:
                cache.popitem(last=False)
    return hits


def followed(uses: list[int], most: int) -> Reuse:
    reuse = Reuse(most)
    for key in uses:
        reuse.use(mixed(key))
    return reuse


@given(keys, st.integers(1, 450))
def test_a_curve_of_all_keys_is_that_of_an_lru_cache(uses: list[int], entries: int) -> None:
    """Where all keys are followed, the hit ratio is exactly that of an LRU cache of that size."""
    curve = followed(uses, most=1_000).curve()
    assert curve.exact
    assert round(curve.hit_ratio(entries) * len(uses)) == lru_hits(uses, entries)


@given(keys, st.integers(1, 50), st.integers(1, NEAR))
def test_small_caches_are_exact_whatever_the_sample(
    uses: list[int], most: int, entries: int
) -> None:
    """Short distances are known of all keys, however few of them are in the sample."""
    curve = followed(uses, most).curve()
    assert round(curve.hit_ratio(entries) * len(uses)) == lru_hits(uses, entries)


@given(keys, st.integers(1, 50))
def test_a_sample_is_bounded_and_its_curve_is_one(uses: list[int], most: int) -> None:
    """No more keys are kept than asked for; hit ratios are shares that grow with the size."""
    reuse = followed(uses, most)
    assert len(reuse.sample) <= most
    assert len(reuse._last) == sum(map(len, reuse._order._pieces)) == len(reuse.sample)
    curve = reuse.curve()
    ratios = [curve.hit_ratio(entries) for entries in (0, 1, 10, 100, 127, 128, 129, 200, 400, 800)]
    assert ratios == sorted(ratios)
    assert ratios[0] == 0.0
    assert ratios[-1] <= 1.0
    assert all(curve.error(entries) >= 0.0 for entries in (1, 100, 400))


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=200))
def test_what_would_not_be_stored_is_not_found_again(uses: list[tuple[int, bool]]) -> None:
    """A use that fails while its key is not there leaves the next one the first."""
    reuse = Reuse(1_000)
    there: set[int] = set()
    for key, stored in uses:
        distance = reuse.use(mixed(key), stored)
        assert (distance == COLD) == (key not in there)
        if stored:
            there.add(key)


@given(st.integers(0, 1 << 40), st.integers(2, 10))
def test_a_bucket_holds_the_distances_from_its_least_to_that_of_the_next(
    distance: int, bits: int
) -> None:
    """Buckets cover all distances, without gaps, and are narrow beside what they hold."""
    bucket = bucket_of(distance, bits)
    least, after = least_of(bucket, bits), least_of(bucket + 1, bits)
    assert least <= distance < after
    assert after - least <= max(1, distance >> bits)


@given(st.sets(st.integers(-(1 << 63), (1 << 63) - 1), max_size=300))
def test_mixing_loses_nothing(numbers: set[int]) -> None:
    """Different numbers of 64 bits are different when they are mixed."""
    assert len({mixed(number) for number in numbers}) == len(numbers)


def test_a_sample_comes_near_the_truth_and_says_how_near() -> None:
    """With a tenth of the keys, the curve is within two points on average, and within its error."""
    # A walk over 20,000 keys, the small ones much more often: the same each time.
    state, uses = 1, []
    for _ in range(60_000):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        uses.append(int(20_000 * ((state >> 11) / (1 << 53)) ** 3))
    sampled, exact = followed(uses, 1_000).curve(), followed(uses, 1 << 20).curve()
    assert not sampled.exact
    sizes = range(200, 14_000, 200)
    off = [abs(sampled.hit_ratio(size) - exact.hit_ratio(size)) for size in sizes]
    assert sum(off) / len(off) < 0.02
    within = [o <= sampled.error(size) for o, size in zip(off, sizes, strict=True)]
    assert sum(within) > 0.8 * len(within)
    assert abs(sampled.different - exact.different) < 0.15 * exact.different


def test_long_distances_are_exact_where_all_keys_are_followed() -> None:
    """Loops of three lengths, all longer than what is measured for every key, are told exactly."""
    uses = [number % 200 for number in range(1_000)]
    uses += [number % 700 for number in range(2_000)]
    uses += [number % 3_000 for number in range(9_000)]
    curve = followed(uses, most=4_000).curve()
    assert curve.exact
    for entries in (NEAR, 199, 200, 650, 700, 2_000):
        hits = lru_hits(uses, entries)
        assert abs(curve.hit_ratio(entries) * len(uses) - hits) < 1e-6
