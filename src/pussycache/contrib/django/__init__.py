"""For Django: the names that applications use. Nothing is done at import."""

from __future__ import annotations

from pussycache.contrib.django.backend import CacheBackend
from pussycache.contrib.django.signals import invalidate_on, touched
from pussycache.contrib.django.transactions import watch_transactions

__all__ = ["CacheBackend", "invalidate_on", "touched", "watch_transactions"]
