"""What Django is told of this library when it is in ``INSTALLED_APPS``, and nothing else."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

__all__ = ["PussyCacheConfig"]


class PussyCacheConfig(AppConfig):  # type: ignore[misc] # Django has no types
    """``"pussycache.contrib.django"`` in ``INSTALLED_APPS``."""

    name = "pussycache.contrib.django"
    label = "pussycache"
    verbose_name = "pussycache"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Watch the transactions of all databases, and look at the settings when asked."""
        from pussycache.contrib.django.checks import check_caches, check_databases
        from pussycache.contrib.django.transactions import watch_transactions

        watch_transactions()
        checks.register(check_caches, checks.Tags.caches)
        # Not of `Tags.database`: these run only when asked for.
        checks.register(check_databases, checks.Tags.compatibility)
