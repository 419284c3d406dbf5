"""What people ask for over REST: the contract's own models, with GPU amounts as text too."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, model_validator

from schemas.deployment import DeploymentSpec
from schemas.errors import FieldError
from schemas.resources import Resources
from services.ingest_api.domain.amounts import PATTERN, devices_of

INSTEAD_OF_GPU = ("gpu_count", "gpu_milli", "mig_profile")


def _describe_gpu(schema: dict[str, Any]) -> None:
    """In the API's description `gpu` is a field, and what it stands for can be left out."""
    schema["properties"]["gpu"] = {
        "type": "string",
        "pattern": PATTERN,
        "examples": ["500m", "1", "2"],
        "description": "GPUs of each pod, instead of gpu_count and gpu_milli: a share of one, such as 500m, or whole"
        " ones. Leave it out with mig_profile.",
    }
    schema["required"] = [field for field in schema["required"] if field not in INSTEAD_OF_GPU]


class AskedResources(Resources):
    """The demand of one replica, as it is asked for."""

    model_config = ConfigDict(json_schema_extra=_describe_gpu)

    @model_validator(mode="before")
    @classmethod
    def _gpu_in_devices(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "gpu" not in data:
            return data
        twice = [field for field in INSTEAD_OF_GPU if field in data]
        if twice:
            raise FieldError("gpu", f"tell the GPUs once: as gpu, or as {twice[0]}")
        count, milli = devices_of(data["gpu"], "gpu")
        rest = {name: value for name, value in data.items() if name != "gpu"}
        return rest | {"gpu_count": count, "gpu_milli": milli}


class AskedDeployment(DeploymentSpec):
    """What a tenant wants to run."""

    resources: AskedResources
    """Demand of one replica."""

    @property
    def spec(self) -> DeploymentSpec:
        """As the contract has it."""
        return DeploymentSpec.model_validate(self.model_dump())
