"""The pages of the tests: the admin, and one that reads and writes a balance."""

import debug_toolbar
from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

import pussycache


class Branch:
    def __init__(self):
        self.balances = {"ada": 10}

    def balance(self, name):
        return self.balances[name]

    def deposit(self, name, amount):
        self.balances[name] += amount


branch = pussycache.wrap(
    Branch(),
    cached_methods=["balance"],
    invalidate_methods={"deposit": [pussycache.Forget("balance", "name")]},
)


def balance(request, name):
    branch.balance(name)
    branch.balance(name)
    if "deposit" in request.GET:
        branch.deposit(name, int(request.GET["deposit"]))
    return HttpResponse(f"<html><body>{branch.balance(name)}</body></html>")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("balance/<name>", balance),
    path("__debug__/", include(debug_toolbar.urls)),
]
