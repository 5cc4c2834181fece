"""`/api/products`: the products, and what rules alone say of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.records.products import Product, count_products, find_product, list_products

from ..product_analysis import analysis

MAX_SKU_CHARS = 64
MAX_OFFSET = 10_000_000

Sku = Annotated[str, Path(max_length=256)]


class AnalysisRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sku: str = Field(min_length=1, max_length=256, examples=["8WZ01CM1"])


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["products"])
    records = core.records

    @router.get("/api/products")
    async def list_all(
        q: Annotated[str, Query(max_length=200)] = "",
        after: Annotated[str, Query(max_length=MAX_SKU_CHARS)] = "",
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Products by SKU; `q` searches in number, name, category, brand and colour."""
        found = await list_products(records, query=q, after=after, offset=offset, limit=limit)
        total = await count_products(records, query=q)
        more = found[-1].sku if len(found) == limit else None
        return {"products": [_json(each) for each in found], "total": total, "next": more}

    @router.get("/api/products/{sku:path}")
    async def read(sku: Sku) -> dict[str, Any]:
        return _json(await find_product(records, sku))

    @router.post("/ai/analyze/product")
    async def analyze(request: AnalysisRequest) -> dict[str, Any]:
        """Selling points, style, scenes, people and pain points of a product, by rules."""
        product = await find_product(records, request.sku)
        return {"sku": product.sku, "name": product.name, **analysis(product.facts())}

    return router


def _json(product: Product) -> dict[str, Any]:
    return {"sku": product.sku, **product.facts()}
