"""The same over PostgreSQL: the environment names the folder of its socket, and the level."""

import os

from django.db.backends.postgresql.psycopg_any import IsolationLevel

from bank.settings import *  # noqa: F403


def _named(name):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": "tester",
        "HOST": os.environ["POSTGRESQL"],
        "OPTIONS": {"isolation_level": IsolationLevel[os.environ["ISOLATION_LEVEL"]]},
    }


DATABASES = {"default": _named("first"), "second": _named("second")}
