"""The settings of the tests: a file in WAL mode, and a second one for writes in two databases."""

import tempfile
from pathlib import Path

# Removed when the interpreter ends.
_folder = tempfile.TemporaryDirectory(prefix="pussycache-bank-")


def _file(name):
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(_folder.name) / f"{name}.sqlite3"),
        "OPTIONS": {"init_command": "PRAGMA journal_mode=wal"},
    }


SECRET_KEY = "a secret that signs, and is nobody's"
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": _file("default"), "second": _file("second")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "debug_toolbar",
    "pussycache.contrib.django",
    "bank",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "bank.urls"
STATIC_URL = "static/"
USE_TZ = True
# Quick, and nobody's secret.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEBUG_TOOLBAR_PANELS = ["pussycache.contrib.django.panel.PussyCachePanel"]
DEBUG_TOOLBAR_CONFIG = {
    # Shown where a test says so.
    "SHOW_TOOLBAR_CALLBACK": lambda request: "toolbar" in request.GET,
    "IS_RUNNING_TESTS": False,
}
