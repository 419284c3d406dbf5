"""MIG profiles: how NVIDIA lets a GPU be cut, and where each slice may start.

Source: NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles" and the placements that `nvidia-smi mig -lgipp`
lists. A GPU has 8 memory slices, numbered from 0, and 7 compute slices; a slice occupies `size` memory slices from its
start on.
"""

from __future__ import annotations

from dataclasses import dataclass

MEMORY_SLICES = 8
"""Memory slices of every GPU that can be cut."""
COMPUTE_SLICES = 7
"""Compute slices of every GPU that can be cut."""


@dataclass(frozen=True, slots=True)
class MigProfile:
    """A kind of slice."""

    name: str
    """As NVIDIA writes it, such as `1g.10gb`."""
    compute: int
    """Compute slices, of 7."""
    size: int
    """Memory slices, of 8."""
    starts: tuple[int, ...]
    """Memory slices at which it may begin."""

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU that it counts as: its share of the compute slices, rounded down, so that no set of
        slices of one GPU counts more than 1000."""
        return 1000 * self.compute // COMPUTE_SLICES

    def mask(self, start: int) -> int:
        """The memory slices that it occupies from `start` on, as bits."""
        return ((1 << self.size) - 1) << start


def _profiles(unit_gb: int) -> tuple[MigProfile, ...]:
    """The profiles of a GPU whose memory slice has `unit_gb` GB."""
    return (
        MigProfile(f"1g.{unit_gb}gb", 1, 1, (0, 1, 2, 3, 4, 5, 6)),
        MigProfile(f"1g.{2 * unit_gb}gb", 1, 2, (0, 2, 4, 6)),
        MigProfile(f"2g.{2 * unit_gb}gb", 2, 2, (0, 2, 4)),
        MigProfile(f"3g.{4 * unit_gb}gb", 3, 4, (0, 4)),
        MigProfile(f"4g.{4 * unit_gb}gb", 4, 4, (0,)),
        MigProfile(f"7g.{8 * unit_gb}gb", 7, 8, (0,)),
    )


PROFILES: dict[str, tuple[MigProfile, ...]] = {
    "A100-40": _profiles(5),
    "A100-80": _profiles(10),
    "H100-80": _profiles(10),
}
"""Profiles by the kind of GPU."""

KIND_OF_MODEL = {
    "A100-40": "A100-40",
    "A100-SXM4-40GB": "A100-40",
    "A100-PCIE-40GB": "A100-40",
    "NVIDIA-A100-SXM4-40GB": "A100-40",
    "NVIDIA-A100-PCIE-40GB": "A100-40",
    "A100-80": "A100-80",
    "A100-SXM4-80GB": "A100-80",
    "NVIDIA-A100-SXM4-80GB": "A100-80",
    "NVIDIA-A100-80GB-PCIe": "A100-80",
    "H100": "H100-80",
    "H100-80": "H100-80",
    "NVIDIA-H100-80GB-HBM3": "H100-80",
    "NVIDIA-H100-PCIe": "H100-80",
}
"""Kind of GPU by the model names that nodes report (GPU feature discovery's among them); other models are never cut."""

NAMES = tuple(sorted({profile.name for profiles in PROFILES.values() for profile in profiles}))
"""Every profile that some GPU has."""


def profile_of(gpu_model: str, name: str) -> MigProfile | None:
    """The profile of this name on this model of GPU; None when the model has none such."""
    kind = KIND_OF_MODEL.get(gpu_model)
    return next((profile for profile in PROFILES.get(kind or "", ()) if profile.name == name), None)


def gpu_milli_of(name: str) -> int:
    """Thousandths of a GPU that a slice of this profile counts as. Raises `KeyError` for an unknown profile."""
    for profiles in PROFILES.values():
        for profile in profiles:
            if profile.name == name:
                return profile.gpu_milli
    raise KeyError(name)
