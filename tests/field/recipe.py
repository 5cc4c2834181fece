"""The flow that field reports on structured output ask for."""

from __future__ import annotations

from pydantic import BaseModel

from unspool import Context, flow


class Dish(BaseModel):
    name: str


class Recipe(BaseModel):
    title: str
    minutes: int
    ingredients: list[str]


@flow
async def recipe(ctx: Context, asked: Dish) -> Recipe:
    """A recipe."""
    return await ctx.structured(Recipe, f"A recipe: {asked.name}", step="recipe")
