"""The page beside it, and Unspool under it: `uvicorn examples.chat_app:app`, then /chat."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from unspool.fastapi import Unspool

unspool = Unspool()
app = FastAPI(lifespan=unspool.lifespan, docs_url=None, openapi_url=None)


@app.get("/chat")
def chat() -> FileResponse:
    return FileResponse(Path(__file__).with_name("chat.html"))


app.mount("/", unspool.app)
