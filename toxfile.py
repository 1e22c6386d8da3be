"""Tells tox about every interpreter that pyenv has installed.

tox asks pyenv only for the versions that are switched on (`pyenv global`), so an installed 3.13
would be reported as missing. Without pyenv this does nothing.
"""

import os
import re
from pathlib import Path

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = []
    for python in root.glob("versions/3.*/bin/python3"):
        version = python.parents[1].name
        # plain releases only: no virtual environments, no free-threaded builds (3.13.0t)
        if re.fullmatch(r"3\.\d+\.\d+", version):
            found.append((tuple(map(int, version.split("."))), str(python)))
    # what the user gave with --discover goes first, then the newest patch releases
    state.conf.options.discover += [path for _, path in sorted(found, reverse=True)]
