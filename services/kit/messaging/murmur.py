"""Where a key goes: the partition that Kafka's Java client, aiokafka and our `murmur2_random` producers choose."""

from __future__ import annotations

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_BITS = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of `data` with Kafka's seed, unsigned (`org.apache.kafka.common.utils.Utils.murmur2`)."""
    whole = len(data) & ~3
    hashed = _SEED ^ len(data)
    for at in range(0, whole, 4):
        word = (int.from_bytes(data[at : at + 4], "little") * _MIX) & _BITS
        word = ((word ^ (word >> 24)) * _MIX) & _BITS
        hashed = ((hashed * _MIX) & _BITS) ^ word
    if rest := data[whole:]:
        hashed = ((hashed ^ int.from_bytes(rest, "little")) * _MIX) & _BITS
    hashed = ((hashed ^ (hashed >> 13)) * _MIX) & _BITS
    return hashed ^ (hashed >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic that has so many; raises `ValueError` when it has none."""
    if partitions < 1:
        raise ValueError("a topic has at least one partition")
    return (murmur2(key) & 0x7FFFFFFF) % partitions
