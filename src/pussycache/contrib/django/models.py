"""What the admin page and its permissions belong to. There is no table."""

from __future__ import annotations

from typing import Any

from django.db import models

__all__ = ["CachedMethod"]


class _NoRows(models.Manager):  # type: ignore[misc] # Django has no types
    """Who asks for all rows of all models, as ``dumpdata`` does, is told that there are none."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class CachedMethod(models.Model):  # type: ignore[misc]
    """A method whose results are remembered: a line of the admin page."""

    objects = _NoRows()

    class Meta:
        """Who may see the page, and who may forget."""

        app_label = "pussycache"
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view",)
        permissions = (("forget_cachedmethod", "Can forget what cached methods returned"),)
        verbose_name = "cached method"
