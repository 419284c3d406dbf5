"""Amounts as people write them, in base units: thousandths and MiB."""

from __future__ import annotations

import re
from decimal import Decimal

import typer

WHOLE = 1000
MIB = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}
_MEMORY = re.compile(r"^(\d{1,9}(?:\.\d{1,3})?)(Mi|Gi|Ti)$", re.ASCII)
_AMOUNT = re.compile(r"^(?:(\d{1,9})m|(\d{1,6}(?:\.\d{1,3})?))$", re.ASCII)


def milli(text: str) -> int:
    """Thousandths: `500m` and `0.5` are 500, `2` is 2000. Raises `typer.BadParameter`."""
    match = _AMOUNT.match(text)
    if match is None:
        raise typer.BadParameter(f"{text!r}: write an amount such as 2, 0.5 or 500m")
    return int(match[1]) if match[1] else int(Decimal(match[2]) * WHOLE)


def gpu(text: str) -> tuple[int, int]:
    """Devices, and thousandths of each: `500m` is half of one, `2` are two whole ones. Raises `typer.BadParameter`."""
    amount = milli(text)
    if amount > WHOLE and amount % WHOLE:
        raise typer.BadParameter(f"{text!r}: a replica has a share of one GPU, or whole GPUs")
    return (1, amount) if 0 < amount < WHOLE else (amount // WHOLE, min(amount, WHOLE))


def memory_mib(text: str) -> int:
    """MiB: `8Gi` is 8192. Raises `typer.BadParameter`."""
    match = _MEMORY.match(text)
    amount = None if match is None else Decimal(match[1]) * MIB[match[2]]
    if amount is None or amount != int(amount):
        raise typer.BadParameter(f"{text!r}: write whole MiB, such as 512Mi or 8Gi")
    return int(amount)


def weights(text: str) -> list[int]:
    """Percent of traffic, stage by stage: `10,50,100`. Raises `typer.BadParameter`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write percents such as 10,50,100") from None
