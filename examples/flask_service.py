"""A service behind Flask: one wrapped object an application, and prices that differ by tenant.

Who asks is said by a header, kept in ``flask.g`` for the request, and part of the key.

Prints:
acme pays 10 for tea
acme pays 10 for tea
zenith pays 12 for tea
acme sets tea to 11
acme pays 11 for tea
zenith pays 12 for tea
the database was asked 4 times
"""

from __future__ import annotations

from flask import Flask, current_app, g, request

import pussycache


class Catalogue:
    """What each tenant pays for what; stands for a repository over a database."""

    def __init__(self) -> None:
        self.rows = {("acme", "tea"): 10, ("zenith", "tea"): 12}
        self.asked = 0

    def price(self, product: str) -> int:
        self.asked += 1
        return self.rows[g.tenant, product]

    def set_price(self, product: str, price: int) -> None:
        self.rows[g.tenant, product] = price


def create_app() -> Flask:
    app = Flask(__name__)
    app.extensions["catalogue"] = pussycache.wrap(
        Catalogue(),
        pussycache.MemoryCache(ttl=60),
        # Who asks is no argument of the method, and makes a difference all the same.
        cached_methods={"price": pussycache.Cached(key=lambda product: (g.tenant, product))},
        invalidate_methods={"set_price": ["price"]},
    )

    @app.before_request
    def who_asks() -> None:
        g.tenant = request.headers["X-Tenant"]

    @app.get("/prices/<product>")
    def read(product: str) -> str:
        return str(current_app.extensions["catalogue"].price(product))

    @app.put("/prices/<product>")
    def write(product: str) -> str:
        current_app.extensions["catalogue"].set_price(product, int(request.args["price"]))
        return ""

    return app


def main() -> None:
    app = create_app()
    client = app.test_client()

    def pays(tenant: str) -> None:
        price = client.get("/prices/tea", headers={"X-Tenant": tenant}).text
        print(f"{tenant} pays {price} for tea")

    pays("acme")
    pays("acme")
    pays("zenith")
    client.put("/prices/tea?price=11", headers={"X-Tenant": "acme"})
    print("acme sets tea to 11")
    pays("acme")
    pays("zenith")
    print(f"the database was asked {app.extensions['catalogue'].asked} times")


if __name__ == "__main__":
    main()
