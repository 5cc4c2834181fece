"""
LangChain's own suite for chat models, pointed at us: all that needs no clever model.

Over a real model, what is left out here passes and fails as on its engine without us.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from conftest import Scripted, said


@pytest.fixture(scope="module")
def other(scripted: Scripted) -> str:
    """Register a second model once: the suite records the traffic of one test, and allows none."""
    return scripted(said("Hello", "!"))


class TestOffline(ChatModelIntegrationTests):
    has_tool_calling = False
    has_structured_output = False
    supports_image_inputs = False

    @pytest.fixture(autouse=True)
    def served(self, url: str, other: str) -> None:
        self.url = url
        self.other = other

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        base_url = f"{self.url}/v1"
        return {"base_url": base_url, "api_key": "any", "model": "offline", "stream_usage": True}

    @property
    def model_override_value(self) -> str:
        return self.other
