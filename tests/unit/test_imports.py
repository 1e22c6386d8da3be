"""What `import pussycache` brings along, what it does not, and what is loaded only later."""

import subprocess
import sys

import pytest

import pussycache

UNNEEDED = (
    *("ast", "asyncio", "concurrent", "dataclasses", "datetime", "dis", "django", "inspect"),
    *("json", "logging", "pickle", "pussycache.see", "redis", "tokenize"),
)
LATER = (
    *("pussycache.decorators", "pussycache.events", "pussycache.operations"),
    "pussycache.warming",
)

IMPORT = "import pussycache"
# As where no extra is installed: what there is beside the library is in the same folder.
ALONE = """\
sys.modules.update(dict.fromkeys(["django", "hiredis", "msgspec", "redis", "sqlalchemy"]))
import pussycache
"""
CALL = """\
import pussycache
class Users:
    def get(self, user_id):
        return user_id
    async def fetch(self, user_id, *, deep=False):
        return user_id
    def rename(self, user_id, name):
        pass
users = pussycache.wrap(
    Users(),
    cached_methods={"get": 60, "fetch": pussycache.Cached(ttl=60)},
    invalidate_methods={"rename": [pussycache.Forget("get", "user_id")]},
)
users.get(1)
users.rename(1, "ada")
"""
DECORATE = """\
import pussycache
class Users:
    @pussycache.cached(ttl=60)
    def get(self, user_id):
        return user_id
    @pussycache.invalidates("get")
    def rename(self, user_id, name):
        pass
users = Users()
users.get(1)
users.rename(1, "ada")
pussycache.peek(users.get, 1)
"""


def _imported(source: str, names: tuple[str, ...]) -> list[str]:
    path = pussycache.__path__[0].removesuffix("pussycache")
    # -S: what the site packages import when Python starts is not ours.
    run = subprocess.run(
        [
            *(sys.executable, "-S", "-c"),
            f"import sys; sys.path.append({path!r})\n{source}\n"
            f"print(*[name for name in {names!r} if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split()


@pytest.mark.parametrize("source", [IMPORT, CALL, DECORATE], ids=["import", "call", "decorate"])
def test_nothing_is_imported_that_need_not_be(source: str) -> None:
    """Neither an import of the library nor its plainest use brings along what both can miss."""
    assert _imported(source, UNNEEDED) == []


def test_what_wrapping_does_without_is_not_imported() -> None:
    """A program that wraps an object and calls it loads neither operations nor decorators.

    Nor does it load what only type checkers need, and what that brings along.
    """
    assert _imported(CALL, (*LATER, "re", "typing")) == []
    assert _imported(f"{IMPORT}\npussycache.peek", LATER) == ["pussycache.operations"]


def test_a_star_import_brings_all_public_names() -> None:
    """`from pussycache import *` brings every name in `__all__`, also those that load later."""
    names = "*[n for n in pussycache.__all__ if n not in globals()]"
    assert _imported(f"{IMPORT}\nfrom pussycache import *\nprint({names})", ()) == []


@pytest.mark.parametrize("name", pussycache.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name in `__all__` can be had, again and again the same."""
    assert getattr(pussycache, name) is getattr(pussycache, name)


def test_dir_tells_of_all_public_names() -> None:
    """`dir` of the library has every name in `__all__`, also before those are loaded."""
    names = "*{*pussycache.__all__} - {*dir(pussycache)}"
    assert _imported(f"{IMPORT}\nprint({names})", LATER) == []


def test_help_needs_no_extra() -> None:
    """What `dir` names can be had without any other package, so `help(pussycache)` works."""
    assert _imported(f"{ALONE}\nimport inspect; inspect.getmembers(pussycache)", ()) == []


def test_the_tests_that_ship_are_there_without_an_import_of_their_own() -> None:
    """`pussycache.testing` can be had of the library, and is loaded then and not before."""
    assert _imported(IMPORT, ("pussycache.testing",)) == []
    assert _imported(f"{IMPORT}\npussycache.testing.FakeClock", ("pussycache.testing",))


@pytest.mark.parametrize(
    ("source", "extra"),
    [
        ("pussycache.DjangoCache()", "django"),
        ("import pussycache.cache.django_backend", "django"),
        ("pussycache.RedisCache()", "redis"),
        ("import pussycache.contrib.sqlalchemy", "sqlalchemy"),
    ],
)
def test_what_needs_an_extra_says_which(source: str, extra: str) -> None:
    """Without its packages it is an `ImportError` that has the command which installs them."""
    caught = f"try:\n    {source}\nexcept ImportError as error:\n    print(error)"
    said = " ".join(_imported(f"{ALONE}\n{caught}", ()))
    assert f'pip install "pussycache[{extra}]"' in said


def test_other_names_are_not_there() -> None:
    """A name that the library does not have is an `AttributeError` that says so."""
    with pytest.raises(AttributeError, match=r"module 'pussycache' has no attribute 'purr'"):
        pussycache.purr  # type: ignore[attr-defined]  # noqa: B018
