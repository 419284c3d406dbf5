"""How a model version behaves: how long it takes, how often it fails, how long it loads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

ModelVersion = tuple[str, str]
"""Model and version."""


class Behaviour(BaseModel):
    """What every pod of one model version does; a change holds for pods that run already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: float = Field(default=5.0, ge=0, le=600_000)
    error_rate: float = Field(default=0.0, ge=0, le=1)
    load_seconds: float | None = Field(default=None, ge=0, le=86_400)
    """None = as long as the simulator's setting says."""


DEFAULT = Behaviour()


class Behaviours:
    """The behaviour of each model version."""

    def __init__(self) -> None:
        self._of: dict[ModelVersion, Behaviour] = {}
        self._owed: dict[ModelVersion, float] = {}

    def put(self, model: str, version: str, behaviour: Behaviour) -> None:
        """From now on pods of this version behave so."""
        self._of[model, version] = behaviour

    def get(self, model: str, version: str) -> Behaviour:
        """How pods of this version behave."""
        return self._of.get((model, version), DEFAULT)

    def fails_now(self, model: str, version: str) -> bool:
        """Whether the next request fails. Not by chance: of n requests the rate's share fails, give or take one."""
        owed = self._owed.get((model, version), 0.0) + self.get(model, version).error_rate
        fails = owed >= 1 - 1e-9
        self._owed[model, version] = owed - fails
        return fails
