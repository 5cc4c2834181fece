"""Flows of your own: `unspool serve --flows examples/my_flows.py`."""

from pydantic import BaseModel, Field

from unspool import Context, flow


class Dish(BaseModel):
    name: str = Field(examples=["麻婆豆腐"])
    guests: int = Field(2, ge=1, le=20)


class Recipe(BaseModel):
    title: str
    minutes: int = Field(ge=1, le=600)
    ingredients: list[str]
    steps: list[str]


@flow
async def recipe(ctx: Context, dish: Dish) -> Recipe:
    """A recipe, shown field by field, and a sentence to serve it with."""
    found = await ctx.structured(
        Recipe, f"Write a recipe for {dish.name}, for {dish.guests} guests.", step="recipe"
    )
    await ctx.generate(f"One sentence to serve {found.title} with.", step="toast")
    return found
