"""What one replica of a model needs from a node. Integers in base units only."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.base import ContractModel, Milli, Word
from schemas.text import Text

WHOLE_GPU_MILLI = 1000
"""Thousandths in one GPU."""


class Resources(ContractModel):
    """The demand of one replica, all of it on one node."""

    gpu_count: Annotated[int, Field(ge=0, le=8)]
    """GPU devices of one node; 0 for a model that runs on CPU."""
    gpu_milli: Annotated[int, Field(ge=0, le=WHOLE_GPU_MILLI)]
    """Thousandths of each device: 1000 = exclusive, 1 to 999 = a share of one device (MPS), 0 without GPU."""
    gpu_models: Annotated[tuple[Annotated[str, Text(63, shortest=1)], ...], Field(max_length=64)] = ()
    """GPU models that will do; empty = any."""
    cpu_milli: Milli
    """Thousandths of a CPU core."""
    memory_mib: Annotated[int, Field(ge=0, le=10**9)]
    """Memory in MiB."""

    @model_validator(mode="after")
    def _devices_and_shares_agree(self) -> Self:
        if self.gpu_count == 0 and self.gpu_milli != 0:
            raise ValueError("gpu_milli must be 0 when gpu_count is 0")
        if self.gpu_count > 0 and self.gpu_milli == 0:
            raise ValueError("gpu_milli must be 1 to 1000 when gpu_count is at least 1")
        if self.gpu_count > 1 and self.gpu_milli != WHOLE_GPU_MILLI:
            raise ValueError("gpu_milli must be 1000 when gpu_count is more than 1: only one device can be shared")
        return self

    @property
    def total_gpu_milli(self) -> int:
        """Thousandths of a GPU over all devices of the replica."""
        return self.gpu_count * self.gpu_milli


class Allocation(ContractModel):
    """Where one replica of a reservation goes."""

    replica: Annotated[int, Field(ge=0)]
    """Number of the replica within the reservation, from 0."""
    node: Word
    """Name of the node."""
    devices: tuple[int, ...] = ()
    """Indexes of the GPU devices on the node."""
    gpu_milli: Milli = 0
    """Thousandths taken of each of the devices."""
