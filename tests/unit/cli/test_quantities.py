"""Amounts as people write them."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from services.cli import quantities


@pytest.mark.parametrize(
    ("text", "devices"),
    [("1", (1, 1000)), ("2", (2, 1000)), ("500m", (1, 500)), ("0.5", (1, 500)), ("0", (0, 0)), ("2000m", (2, 1000))],
)
def test_gpus(text: str, devices: tuple[int, int]) -> None:
    assert quantities.gpu(text) == devices


@pytest.mark.parametrize(
    "text", ["1500m", "2.5", "-1", "", "one", "1.0005", "1 ", "\N{ARABIC-INDIC DIGIT ONE}m", "0.5m"]
)
def test_what_is_no_amount_of_gpus(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        quantities.gpu(text)


@given(st.integers(0, 10**6))
def test_milli_is_exact_in_both_spellings(amount: int) -> None:
    assert quantities.milli(f"{amount}m") == amount
    assert quantities.milli(f"{amount // 1000}.{amount % 1000:03}") == amount


@given(st.integers(0, 8000))
def test_devices_and_shares_make_up_the_amount(amount: int) -> None:
    if amount > 1000 and amount % 1000:
        with pytest.raises(typer.BadParameter):
            quantities.gpu(f"{amount}m")
    else:
        count, each = quantities.gpu(f"{amount}m")
        assert count * each == amount


@pytest.mark.parametrize(("text", "mib"), [("512Mi", 512), ("8Gi", 8192), ("1.5Gi", 1536), ("2Ti", 2 * 1024 * 1024)])
def test_memory(text: str, mib: int) -> None:
    assert quantities.memory_mib(text) == mib


@pytest.mark.parametrize("text", ["8192", "8GB", "0.5Mi", "", "Gi", "-1Gi"])
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        quantities.memory_mib(text)


def test_weights() -> None:
    assert quantities.weights("10,50,100") == [10, 50, 100]
    for text in ("", "10;100", "ten"):
        with pytest.raises(typer.BadParameter):
            quantities.weights(text)
