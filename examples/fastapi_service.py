"""A service behind FastAPI: one wrapped object for all requests, and prices that differ by tenant.

The endpoints are given the service by a dependency. Who asks is said by a header, kept in a context
variable, and part of the key. When the application ends, so does what the cache does in the
background.

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

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request
from fastapi.testclient import TestClient

import pussycache

TENANT: ContextVar[str] = ContextVar("tenant")


class Catalogue:
    """What each tenant pays for what; stands for a repository over a database."""

    def __init__(self) -> None:
        self.rows = {("acme", "tea"): 10, ("zenith", "tea"): 12}
        self.asked = 0

    async def price(self, product: str) -> int:
        self.asked += 1
        return self.rows[TENANT.get(), product]

    async def set_price(self, product: str, price: int) -> None:
        self.rows[TENANT.get(), product] = price


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    cache = pussycache.MemoryCache(ttl=60)
    app.state.catalogue = pussycache.wrap(
        Catalogue(),
        cache,
        # Who asks is no argument of the method, and makes a difference all the same.
        cached_methods={"price": pussycache.Cached(key=lambda product: (TENANT.get(), product))},
        invalidate_methods={"set_price": ["price"]},
    )
    yield
    await cache.aclose()


async def catalogue(request: Request, x_tenant: Annotated[str, Header()]) -> Catalogue:
    # Not a plain function: FastAPI would call that in a thread, in a context of its own.
    TENANT.set(x_tenant)
    found: Catalogue = request.app.state.catalogue
    return found


app = FastAPI(lifespan=lifespan)
Service = Annotated[Catalogue, Depends(catalogue)]


@app.get("/prices/{product}")
async def read(product: str, catalogue: Service) -> int:
    return await catalogue.price(product)


@app.put("/prices/{product}")
async def write(product: str, price: int, catalogue: Service) -> None:
    await catalogue.set_price(product, price)


def main() -> None:
    with TestClient(app) as client:

        def pays(tenant: str) -> None:
            price = client.get("/prices/tea", headers={"X-Tenant": tenant}).json()
            print(f"{tenant} pays {price} for tea")

        pays("acme")
        pays("acme")
        pays("zenith")
        client.put("/prices/tea?price=11", headers={"X-Tenant": "acme"})
        print("acme sets tea to 11")
        pays("acme")
        pays("zenith")
        print(f"the database was asked {app.state.catalogue.asked} times")


if __name__ == "__main__":
    main()
