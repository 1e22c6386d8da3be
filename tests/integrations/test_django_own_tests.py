"""Django's own tests of caches, middleware and sessions, run on `CacheBackend`.

They are taken from the source release of the installed version, which pip brings, and run by
Django's own runner in a process of its own. Nothing of them is in this repository.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import django
import pytest
from servers import PATIENCE, RunningServer

HERE = Path(__file__).parent
VERSION = django.get_version()
LOCMEM = '"django.core.cache.backends.locmem.LocMemCache"'

# Each looks into `LocMemCache._expire_info`, which is how that backend keeps its deadlines. (What
# cannot be asked of a server is in suite_of_django.py.)
EXCLUDED = (
    "test_caches_set_with_timeout_as_none_set_non_expiring_key",
    "test_caches_with_unset_timeout_set_expiring_key",
)

# What is to be there still after two seconds has one second more: a busy machine takes that.
LONGER = {
    "cache_page(3)": "cache_page(60)",
    "cache_page(3, ": "cache_page(60, ",
    '            3, cache="default"': '            60, cache="default"',
    "(1, 3),  # max_age <": "(1, 60),  # max_age <",
}

SYNC = [
    "cache.suite_of_django.CacheBackendTests",
    "cache.tests.CacheClosingTests",
    "cache.tests.CacheHandlerTest",
    "cache.tests.CacheUtils",
    "cache.tests.PrefixedCacheUtils",
    "cache.tests.CacheHEADTest",
    "cache.tests.CacheI18nTest",
    "cache.tests.PrefixedCacheI18nTest",
    "cache.tests.CacheMiddlewareTest",
    "cache.tests.TestWithTemplateResponse",
    "cache.tests.TestMakeTemplateFragmentKey",
    "sessions_tests.tests.CacheSessionTests",
    "sessions_tests.tests.CacheDBSessionTests",
    "sessions_tests.tests.CacheDBSessionWithTimeZoneTests",
    "sessions_tests.tests.SessionMiddlewareTests",
]
AWAITED = ["cache.suite_of_django.AwaitedCacheBackendTests"]


class Run(NamedTuple):
    """Some of Django's tests: how many there are at least in every version, and over what."""

    labels: list[str]
    least: int
    engine: str | None = None
    options: dict[str, object] = {}


RUNS = {
    # How LocMemCache keeps what has no timeout is asked in one more.
    "in memory": Run([*SYNC, "cache.tests.DefaultNonExpiringCacheKeyTests"], 300),
    "in memory, awaited": Run(AWAITED, 54),
    "in a server": Run(SYNC, 295, "redis"),
    "in a server, awaited": Run(AWAITED, 52, "valkey", {"serializer": "pickle"}),
    "in a server and here": Run(SYNC, 295, "valkey", {"local": {"max_entries": 1000}}),
    "in a server and here, awaited": Run(AWAITED, 52, "redis", {"local": True}),
}


def source():
    """Return the source release of the installed Django, downloaded once."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pussycache-tests"
    found = list(folder.glob(f"[Dd]jango-{VERSION}.tar.gz"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        # Apart, and then in one step: another run may be looking for it.
        with tempfile.TemporaryDirectory(dir=folder) as own:
            what = ["--no-binary", "django", "--no-deps", "--dest", own, f"django=={VERSION}"]
            run = subprocess.run([*pip, *what], capture_output=True, text=True, timeout=300)
            for made in Path(own).glob(f"[Dd]jango-{VERSION}.tar.gz"):
                made.replace(folder / made.name)
        found = list(folder.glob(f"[Dd]jango-{VERSION}.tar.gz"))
        if run.returncode or not found:
            problem = f"Django's source release could not be had:\n{run.stderr}"
            pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    return found[0]


@pytest.fixture(scope="module")
def tests(tmp_path_factory):
    """Django's tests, of which those concerned take the backend that the environment names."""
    folder = tmp_path_factory.mktemp("django")
    with tarfile.open(source()) as archive:
        members = [m for m in archive.getmembers() if m.name.split("/")[1:2] == ["tests"]]
        archive.extractall(folder, members=members, filter="data")
    (tests,) = folder.glob("*/tests")
    for name in ("cache", "sessions_tests"):
        file = tests / name / "tests.py"
        text = file.read_text(encoding="utf-8")
        assert LOCMEM in text
        text = text.replace(LOCMEM, '__import__("os").environ["BACKEND"]')
        if name == "cache":
            for excluded in EXCLUDED:
                assert f"def {excluded}" in text
                text = text.replace(f"def {excluded}", f"def excluded_{excluded}")
            for told, longer in LONGER.items():
                assert told in text
                text = text.replace(told, longer)
        file.write_text(text, encoding="utf-8")
    shutil.copy(HERE / "suite_of_django.py", tests / "cache")
    (tests / "settings_of_django.py").write_text(
        "import os\n"
        "from test_sqlite import *\n"
        "CACHES = {'default': {'BACKEND': os.environ['BACKEND']}}\n"
    )
    return tests


@pytest.fixture(scope="module")
def running(tests):
    """All of them, being run: what takes time there is waiting."""
    processes, servers = {}, []
    for name, run in RUNS.items():
        environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        environment["BACKEND"] = "pussycache.contrib.django.CacheBackend"
        if run.engine is not None:
            servers.append(RunningServer(run.engine))
            environment["BACKEND"] = "cache.suite_of_django.OverServer"
            environment["SERVER"] = servers[-1].unix_url
            # Six suites at once hold a server up for longer than a site would wait for it.
            environment["SERVER_OPTIONS"] = json.dumps({"timeout": PATIENCE, **run.options})
        command = ["runtests.py", "--settings=settings_of_django", "--parallel=1", *run.labels]
        processes[name] = subprocess.Popen(
            [sys.executable, *command],
            cwd=tests,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()
    for server in servers:
        server.stop()


@pytest.mark.parametrize("name", RUNS)
def test_django_is_content(name, running):
    """The backend passes what Django asks of its own, as its methods and awaited."""
    output, _ = running[name].communicate(timeout=300)
    assert running[name].returncode == 0, output
    ran = re.search(r"Ran (\d+) tests", output)
    assert ran is not None, output
    assert int(ran[1]) >= RUNS[name].least
    assert "skipped" not in output
