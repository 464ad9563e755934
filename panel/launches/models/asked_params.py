"""The params that somebody gave, as they are kept and as they may be shown."""

from __future__ import annotations

import json
from typing import Any

from panel.mirror.models import MASKED


class AskedParams:
    """For models with ``params_json`` and ``secret_params``."""

    params_json: Any
    secret_params: Any

    @property
    def params(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.params_json)
        return loaded

    @property
    def shown_params(self) -> dict[str, Any]:
        """The params as anybody may see them."""
        hidden = set(self.secret_params)
        return {name: MASKED if name in hidden and value else value for name, value in self.params.items()}
