"""Unspool within a FastAPI application: `uvicorn examples.fastapi_app:app`."""

from fastapi import FastAPI
from starlette.responses import Response

from unspool.fastapi import Unspool

unspool = Unspool()
app = FastAPI(lifespan=unspool.lifespan)
app.mount("/unspool", unspool.app)


@app.post("/write")
async def write(prompt: str) -> Response:
    """A run's stream; it goes on at /unspool/v1/runs/{id}/events."""
    return await unspool.stream("chat", {"prompt": prompt}, dialect="plain")
