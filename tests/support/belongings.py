"""Something of every kind that a tenant can own, made over HTTP as anybody would make it."""

from __future__ import annotations

from typing import Any

import httpx

from support.images import data_url, digest
from support.keys import BODY, Keys
from support.readers import SHOE
from support.runs import until_ended

MARK = "zebra-7431"
"""Stands in all that they own; anybody else who reads it has read what is not his."""

PERSON = "user_0007"
UI_CHAT: dict[str, Any] = {"id": "chat-of-mine", "model": "offline"}
"""A chat of the AI SDK; another tenant may have one of this name."""
SKU = "8WZ01CM1"


class Belongings:
    """
    What the tenant of one key owns.

    Attributes:
        ids: By the path before the parameter, without the methods: `/api/cases/` has the number
            of a case.
    """

    def __init__(self, keys: Keys, client: httpx.AsyncClient, owner: str) -> None:
        self.ids: dict[str, str] = {}
        self._keys = keys
        self._client = client
        self.headers = keys.of(owner)

    async def post(self, path: str, body: Any, **more: Any) -> dict[str, Any]:
        reply = await self._client.post(
            self._keys.url + path, json=body, headers=self.headers, **more
        )
        assert reply.status_code in {200, 201}, (path, reply.text)
        return dict(reply.json())

    async def stream(self, path: str, body: Any) -> str:
        """Start a run by its stream, hear it to its end, and return its id."""
        reply = await self._client.post(self._keys.url + path, json=body, headers=self.headers)
        assert reply.status_code == 200, (path, reply.text)
        return str(reply.headers["x-run-id"])

    async def run(self, kind: str, /, **asked: Any) -> str:
        made = await self.post("/v1/runs", {**BODY, "flow": kind, "input": asked})
        await until_ended(self._client, self._keys.served, made["id"], headers=self.headers)
        return str(made["id"])

    async def make(self) -> None:
        """Make one of each kind; of runs and of people one of each system."""
        ids = self.ids
        ids["/v1/runs/"] = await self.run("chat", prompt=f"请介绍 {MARK}", images=[data_url()])
        ids["/v1/responses/"] = f"resp_{ids['/v1/runs/']}"
        ids["/v1/streams/"] = ids["/v1/runs/"]
        said = {"id": "m", "role": "user", "parts": [{"type": "text", "text": MARK}]}
        await self.stream("/v1/ui/chat", {**UI_CHAT, "messages": [said]})
        ids["/v1/ui/chat/"] = str(UI_CHAT["id"])
        ids["/api/images/"] = digest()
        ids["/api/copies/"] = await self.stream("/ai/generate/copy", {**SHOE, "count": 1})
        ids["/api/v1/events/extract/"] = ids["/api/people/"] = PERSON
        await self.stream(f"/api/v1/events/extract/{PERSON}/llm-stream", {})
        graph = await self.stream("/api/v1/causal-graph/generate/llm-stream", {"title": MARK})
        ids["/api/v1/graphs/"] = ids["/api/v1/causal-graph/"] = graph
        ids["/api/products/"] = SKU
        made = (
            ("/api/cases", {"run": ids["/v1/runs/"], "name": MARK}),
            ("/api/conversations", {"name": MARK}),
            ("/api/presets", {"name": MARK, "prompt": MARK}),
            ("/api/tools", {"name": MARK, "answer": {"kind": "mock", "value": MARK}}),
            ("/api/keys", {"name": MARK}),
        )
        for path, body in made:
            ids[f"{path}/"] = str((await self.post(path, body))["id"])
        talk = ids["/v1/conversations/"] = ids["/api/conversations/"]
        sent = await self.post(f"/v1/conversations/{talk}/messages", {"prompt": MARK})
        ids[f"/v1/conversations/{talk}/messages/"] = str(sent["id"])
        await self.post("/api/experiments", {"name": MARK, "arms": [{"name": "a"}, {"name": "b"}]})
        ids["/api/experiments/"] = MARK
        budget = await self._client.put(
            f"{self._keys.url}/api/budgets", json={"kind": "tenant"}, headers=self.headers
        )
        ids["/api/budgets/"] = str(budget.json()["id"])
        share = f"/v1/runs/{ids['/v1/runs/']}/shares"
        ids[f"{share}/"] = str((await self.post(share, {}))["id"])
        await self._import()
        await self._project()

    async def _import(self) -> None:
        reply = await self._client.post(
            f"{self._keys.url}/api/imports",
            params={"name": f"{MARK}.csv"},
            content=f"user_id,action,at\n{MARK},visit,never\n",
            headers={**self.headers, "Content-Type": "text/csv"},
        )
        assert reply.status_code == 201, reply.text
        self.ids["/api/imports/"] = str(reply.json()["id"])

    async def _project(self) -> None:
        topic = {"name": MARK, "original_topic": f"介绍 {MARK} 的历史"}
        number = str((await self.post("/api/v1/projects/", topic))["id"])
        path = f"/api/v1/projects/{number}"
        await self.stream(f"{path}/rewrite-stream/", {})
        await self.stream(f"{path}/storyboard-stream/", {})
        reply = await self._client.get(f"{self._keys.url}{path}/history/", headers=self.headers)
        self.ids["/api/v1/projects/"] = number
        self.ids[f"{path}/stages/"] = "rewrite"
        self.ids[f"{path}/history/"] = str(reply.json()["results"][0]["id"])
