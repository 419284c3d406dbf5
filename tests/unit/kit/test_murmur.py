"""Keys go where the Java client puts them."""

from __future__ import annotations

import aiokafka.partitioner  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.messaging.murmur import murmur2, partition_of

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From Kafka's own `UtilsTest.testMurmur2`; signed, as Java has it."""


@pytest.mark.parametrize(("data", "signed"), JAVA.items())
def test_the_hash_is_the_java_clients(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.binary(max_size=64))
def test_the_hash_is_aiokafkas(data: bytes) -> None:
    assert murmur2(data) == aiokafka.partitioner.murmur2(data) & 0xFFFFFFFF


@given(st.binary(max_size=64), st.integers(1, 10_000))
def test_a_partition_is_one_of_the_topics(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_a_hash_with_its_highest_bit_set_is_made_positive_as_java_does() -> None:
    assert murmur2(b"foobar") >= 2**31
    assert partition_of(b"foobar", 6) == ((-790332482) & 0x7FFFFFFF) % 6 == 0


def test_a_topic_without_partitions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        partition_of(b"a", 0)
