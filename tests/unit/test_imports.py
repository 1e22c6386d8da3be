"""What `import pussycache` brings along, and what it does not."""

import subprocess
import sys

UNNEEDED = ("asyncio", "concurrent", "datetime", "django", "json", "logging", "pickle", "redis")


def test_nothing_is_imported_that_need_not_be() -> None:
    """Importing the library brings no module along that its plainest use does without."""
    source = f"import sys, pussycache; print(*[n for n in {UNNEEDED!r} if n in sys.modules])"
    # -S: what the site packages import when Python starts is not ours.
    import pussycache

    path = pussycache.__path__[0].removesuffix("pussycache")
    run = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append({path!r}); {source}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == []
