"""A server that wants keys, for tests, and keys of all kinds."""

from __future__ import annotations

from pathlib import Path

from support.servers import Served
from unspool.records import Records
from unspool.records.keys import add_key, add_tenant
from unspool.runs.principal import SCOPES

UNKNOWN = "usp_aaaaaaaaaaaa_" + "x" * 43
BODY = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}


class Keys:
    """A server that wants keys, and some of them."""

    def __init__(self, served: Served, texts: dict[str, str]) -> None:
        self.served = served
        self.url = served.url
        self.texts = texts

    def of(self, name: str) -> dict[str, str]:
        return bearer(self.texts[name])


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def made(data_dir: Path) -> dict[str, str]:
    """Keys by name: `admin`, one for each scope, and `other`, which is of another tenant."""
    records = await Records.open(data_dir / "records.db")
    tenant = await add_tenant(records, "another shop")
    assert tenant is not None
    texts = {"admin": (await add_key(records, "default", "admin", scopes=["admin"])).text}
    for scope in SCOPES:
        texts[scope] = (await add_key(records, "default", scope, scopes=[scope])).text
    other = await add_key(records, tenant.id, "other", scopes=["admin"])
    await records.aclose()
    return {**texts, "other": other.text, "": "", "unknown": UNKNOWN}
