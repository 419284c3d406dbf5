"""GPU amounts as people write them: `500m`, `1`, `0.5`, `2`. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

from schemas.errors import FieldError
from schemas.resources import WHOLE_GPU_MILLI

MOST_GPUS = 8
"""Devices of one node that a pod can have."""
PATTERN = r"^(\d{1,6}m|\d{1,3}(\.\d{1,3})?)$"
_AMOUNT = re.compile(PATTERN, re.ASCII)


def devices_of(text: object, field: str) -> tuple[int, int]:
    """Devices, and thousandths of each: `500m` is half of one, `2` are two whole ones, `0` none.

    Raises `FieldError` naming the field.
    """
    if not isinstance(text, str) or _AMOUNT.fullmatch(text) is None:
        raise FieldError(field, 'write an amount such as "2", "0.5" or "500m"')
    milli = int(text[:-1]) if text.endswith("m") else int(Decimal(text) * WHOLE_GPU_MILLI)
    if milli > WHOLE_GPU_MILLI and milli % WHOLE_GPU_MILLI:
        raise FieldError(field, "a pod has a share of one GPU, or whole GPUs")
    if milli > MOST_GPUS * WHOLE_GPU_MILLI:
        raise FieldError(field, f"a pod has at most {MOST_GPUS} GPUs, of one node: ask for more workers")
    return (1, milli) if 0 < milli < WHOLE_GPU_MILLI else (milli // WHOLE_GPU_MILLI, min(milli, WHOLE_GPU_MILLI))
