"""Adds the optional C extension to what pyproject.toml says; an install without a compiler works.

Nothing else belongs here.
"""

import platform
import sysconfig

from setuptools import Extension, setup

PARTS = ("module", "hit", "miss", "admit", "coroutine", "through", "watch")

extensions = []
# It is written against CPython's own structures; and without the GIL, counting a hit as it is done
# there would be a race.
if platform.python_implementation() == "CPython" and not sysconfig.get_config_var(
    "Py_GIL_DISABLED"
):
    extensions.append(
        Extension(
            "pussycache._speed",
            [f"speed/{part}.c" for part in PARTS],
            depends=["speed/speed.h"],
            optional=True,
        )
    )

setup(ext_modules=extensions)
