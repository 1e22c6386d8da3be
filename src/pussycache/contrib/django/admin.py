"""The admin page: the figures of each method, and a button that forgets it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from pussycache.contrib.django import overview
from pussycache.contrib.django.models import CachedMethod
from pussycache.engine.entry import Cause
from pussycache.errors import BackendUnavailable

__all__ = ["CachedMethodAdmin"]

_MAY_FORGET = "pussycache.forget_cachedmethod"


@admin.register(CachedMethod)
class CachedMethodAdmin(admin.ModelAdmin):  # type: ignore[misc] # Django has no types
    """Shows what the process that answers counts; it has nothing to add, change or delete.

    To see it, one needs the permission ``pussycache.view_cachedmethod``; to forget,
    ``pussycache.forget_cachedmethod``.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: methods are declared in code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the figures; when posted to, forget a method."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            if not request.user.has_perm(_MAY_FORGET):
                raise PermissionDenied
            name = request.POST.get("forget", "")
            self._forget(request, name)
            return HttpResponseRedirect(request.path)
        context = {
            **self.admin_site.each_context(request),
            "title": "Cached methods",
            "opts": self.opts,
            "rows": overview.rows(),
            "servers": overview.servers(count="count" in request.GET),
            "may_forget": request.user.has_perm(_MAY_FORGET),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/pussycache/cachedmethod/change_list.html", context)

    def _forget(self, request: HttpRequest, name: str) -> None:
        cause = Cause(f"forget in the admin, by {request.user.get_username()}")
        try:
            known = overview.forget(name, cause)
        except BackendUnavailable:
            messages.error(request, f"Could not forget {name}: a server does not answer.")
            return
        if not known:
            messages.error(request, f"There is no {name} in this process.")
            return
        messages.success(request, f"Forgot {name}.")
        if overview.pending():
            messages.warning(request, "A server does not answer. It is told as soon as it does.")

    def get_urls(self) -> list[Any]:
        """The one page, and none for single rows."""
        return [url for url in super().get_urls() if url.name and "changelist" in url.name]
