"""A Django project in one file: rows that are saved make a cached method wrong, at their commit.

Prints:
in stock: 5
inside of the transaction: 4, in the cache: nothing
after the commit: 4, in the cache: 4
after an update: 9
of the page: in stock: 9
"""

from __future__ import annotations

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": "pussycache.contrib.django.CacheBackend", "TIMEOUT": 60}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["pussycache.contrib.django"],
    ROOT_URLCONF=__name__,
)
django.setup()

from django.core.cache import cache
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

import pussycache
from pussycache.contrib.django import invalidate_on, touched


class Product(models.Model):
    name = models.CharField(max_length=50)
    stock = models.IntegerField()

    class Meta:
        app_label = "shop"


class Stock:
    def of(self, product_id: int) -> int:
        found: int = Product.objects.get(pk=product_id).stock
        return found


stock = pussycache.wrap(Stock(), cached_methods=["of"])
invalidate_on(Product, stock.of, match={"product_id": "pk"})


def page(request: HttpRequest, product_id: int) -> HttpResponse:
    return HttpResponse(f"in stock: {stock.of(product_id)}")


urlpatterns = [path("<int:product_id>", page)]


def main() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Product)
    tea = Product.objects.create(name="tea", stock=5)
    print("in stock:", stock.of(tea.pk))

    with transaction.atomic():
        tea.stock -= 1
        tea.save()
        there = "something" if pussycache.peek(stock.of, tea.pk) else "nothing"
        print(f"inside of the transaction: {stock.of(tea.pk)}, in the cache: {there}")
    now = stock.of(tea.pk)
    print(f"after the commit: {now}, in the cache: {pussycache.peek(stock.of, tea.pk)}")

    with touched(Product):  # an update sends no signals
        Product.objects.update(stock=9)
    print("after an update:", stock.of(tea.pk))

    cache.set("page", Client().get(f"/{tea.pk}").content.decode())
    print("of the page:", cache.get("page"))


if __name__ == "__main__":
    main()
