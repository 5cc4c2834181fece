"""The choice of default models: which name a request without a model means, flow by flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from .. import plugs
from ..errors import SpecError
from ..formats.written import Name, StrictInput
from .catalog import Catalog


class DefaultsInput(StrictInput):
    """Changes: a name sets a default, null withdraws it, and what is left out stays."""

    model: Name | None = None
    """For all flows that have none of their own."""
    flows: Annotated[dict[str, Name | None], Field(max_length=256)] = Field(default_factory=dict)

    def changes(self, catalog: Catalog) -> Mapping[str, str | None]:
        """
        Return the new choices by flow; the flow of `model` is empty.

        Raises:
            SpecError: There is no such flow, or nothing of that name can be asked.
        """
        for flow in self.flows:
            if flow not in plugs.names("flows"):
                known = ", ".join(plugs.names("flows"))
                raise SpecError(f"there is no flow {flow[:64]!r}; have: {known}")
        changes = dict(self.flows)
        if "model" in self.model_fields_set:
            changes[""] = self.model
        for name in changes.values():
            if name is not None:
                catalog.check(name)
        return changes
