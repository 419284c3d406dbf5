"""What one replica of a model needs from a node. Integers in base units only."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from schemas import mig
from schemas.base import ContractModel, Milli, Word
from schemas.errors import FieldError
from schemas.text import Text

WHOLE_GPU_MILLI = 1000
"""Thousandths in one GPU."""


class Sharing(StrEnum):
    """How a replica uses its devices."""

    NONE = "none"
    """It needs no GPU."""
    EXCLUSIVE = "exclusive"
    """Whole devices, for itself."""
    SHARED = "shared"
    """A share of one device, beside others (MPS)."""
    MIG = "mig"
    """A slice of one device that is cut (MIG)."""


class Topology(StrEnum):
    """Where the pods of one request may lie to each other."""

    ANY = "any"
    """Anywhere."""
    PREFER_SAME_ZONE = "prefer-same-zone"
    """In one zone if that is possible now, else anywhere."""
    SAME_ZONE = "same-zone"
    """In one zone, or not at all."""


class Resources(ContractModel):
    """The demand of one replica. Each of its `workers` pods needs all of it, on one node."""

    gpu_count: Annotated[int, Field(ge=0, le=8)]
    """GPU devices of one node; 0 for a model that runs on CPU, 1 with a MIG profile."""
    gpu_milli: Annotated[int, Field(ge=0, le=WHOLE_GPU_MILLI)]
    """Thousandths of each device: 1000 = exclusive, 1 to 999 = a share of one device (MPS), 0 without GPU; with a MIG
    profile what the profile counts as, which is filled in when it is left out."""
    gpu_models: Annotated[tuple[Annotated[str, Text(63, shortest=1)], ...], Field(max_length=64)] = ()
    """GPU models that will do; empty = any."""
    mig_profile: Annotated[str, Text(16)] = ""
    """MIG profile of the one slice that is needed, such as `1g.10gb`; empty = no slice."""
    cpu_milli: Milli
    """Thousandths of a CPU core."""
    memory_mib: Annotated[int, Field(ge=0, le=10**9)]
    """Memory in MiB."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Pods of one replica, all at once or none: a gang over nodes when more than 1."""
    topology: Topology = Topology.ANY
    """Where the pods may lie to each other."""

    @model_validator(mode="before")
    @classmethod
    def _slice_counts_as_its_share(cls, data: Any) -> Any:
        """Fill in what a MIG slice counts as, where it was left out. An unknown profile is told before anything that
        is missing because of it."""
        profile = data.get("mig_profile") if isinstance(data, dict) else None
        if not isinstance(profile, str) or not profile:
            return data
        if profile not in mig.NAMES:
            known = ", ".join(mig.NAMES)
            raise FieldError("mig_profile", f"{profile[:32]!r} is not one of NVIDIA's profiles; use one of {known}")
        return {"gpu_count": 1, "gpu_milli": mig.gpu_milli_of(profile), **data}

    @model_validator(mode="after")
    def _devices_and_shares_agree(self) -> Self:
        if self.mig_profile:
            self._check_slice()
        if self.gpu_count == 0 and self.gpu_milli != 0:
            raise FieldError("gpu_milli", "gpu_milli must be 0 when gpu_count is 0")
        if self.gpu_count > 0 and self.gpu_milli == 0:
            raise FieldError("gpu_milli", "gpu_milli must be 1 to 1000 when gpu_count is at least 1")
        if self.gpu_count > 1 and self.gpu_milli != WHOLE_GPU_MILLI:
            message = "gpu_milli must be 1000 when gpu_count is more than 1: only one device can be shared"
            raise FieldError("gpu_milli", message)
        return self

    def _check_slice(self) -> None:
        counts_as = mig.gpu_milli_of(self.mig_profile)
        if self.gpu_count != 1 or self.gpu_milli != counts_as:
            raise FieldError(
                "gpu_count" if self.gpu_count != 1 else "gpu_milli",
                f"gpu_count must be 1 and gpu_milli {counts_as} with mig_profile {self.mig_profile!r}; leave both out",
            )

    @property
    def sharing(self) -> Sharing:
        """How the devices are used."""
        if self.mig_profile:
            return Sharing.MIG
        if self.gpu_count == 0:
            return Sharing.NONE
        return Sharing.EXCLUSIVE if self.gpu_milli == WHOLE_GPU_MILLI else Sharing.SHARED

    @property
    def total_gpu_milli(self) -> int:
        """Thousandths of a GPU over all devices of all pods of the replica."""
        return self.gpu_count * self.gpu_milli * self.workers


class Allocation(ContractModel):
    """Where one pod of a reservation goes."""

    replica: Annotated[int, Field(ge=0)]
    """Number of the replica within the reservation, from 0."""
    worker: Annotated[int, Field(ge=0)] = 0
    """Number of the pod within its replica, from 0."""
    node: Word
    """Name of the node."""
    devices: tuple[int, ...] = ()
    """Indexes of the GPU devices on the node."""
    gpu_milli: Milli = 0
    """Thousandths taken of each of the devices."""
    mig_profile: Annotated[str, Text(16)] = ""
    """Profile of the slice of the device; empty when the device is not cut."""
    mig_start: Annotated[int, Field(ge=0, lt=mig.MEMORY_SLICES)] | None = None
    """Memory slice at which the slice begins; None when the device is not cut."""
