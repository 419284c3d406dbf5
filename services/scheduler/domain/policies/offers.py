"""What a node would be left with: it is offered fixed sequences of the pods to expect, and takes what fits.

The mean idle GPU after it is how much of what is free now will probably stay free for ever, on this node, with just
these devices, this CPU and this memory.

Most nodes can take few of the pods of a sequence. Which, is told by words of bits, one bit a pod: what fits by CPU, by
memory, by devices, and may go to the model, each looked up, and only the bits that all of them have are looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.resources import WHOLE_GPU_MILLI
from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.policies.compiled import compiled, inlined
from services.scheduler.domain.policies.draws import draws
from services.scheduler.domain.policies.workload import Classes

SEQUENCES = 64
"""Sequences that a node is offered."""
LENGTH = 40
"""Pods of a sequence; not more than a word has bits."""

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint16]


_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
"""Each six bits in a row of it are others: times a power of two, its upper six tell which power that was."""
_PLACES = np.empty(64, np.uint8)
_PLACES[(_DE_BRUIJN << np.arange(64, dtype=np.uint64)) >> np.uint64(58)] = np.arange(64)


class Offers(NamedTuple):
    """The sequences, as arrays. A word has the bit `1 << place` for the pod at that place of a sequence."""

    demand: Ints
    """CPU, memory, devices, thousandths of each device of each class that occurs; shape (classes, 4)."""
    number: Numbers
    """The pods' classes, shape (sequences, length)."""
    cpu: Ints
    """What classes ask for, ascending."""
    memory: Ints
    """What classes ask for, ascending."""
    kinds: Ints
    """How many of the amounts that classes ask of one device are at most 0, 1, ... 1000 thousandths; shape (1001,)."""
    by_cpu: Words
    """Pods that ask for no more than the first so many of `cpu`, shape (amounts + 1, sequences)."""
    by_memory: Words
    """The same for `memory`."""
    by_kind: Words
    """The same for thousandths of one device."""
    by_whole: Words
    """Pods for which so many whole devices are enough, shape (most + 1, sequences)."""
    by_model: Words
    """Pods that may go to a GPU model, or need none, shape (codes, sequences)."""


def offers_of(classes: Classes, cluster: Cluster) -> Offers:
    """Every class as often as its share demands, in an order that looks random and is always the same."""
    pods = SEQUENCES * LENGTH
    cumulated = classes.counts.cumsum()
    evenly = (2 * np.arange(pods) + 1) * cumulated[-1] // (2 * pods)
    occurring, drawn = np.unique(np.searchsorted(cumulated, evenly, side="right"), return_inverse=True)
    number = drawn[np.argsort(draws(np.arange(pods)), kind="stable")].reshape(SEQUENCES, LENGTH)
    return offers_in(number, classes.demand[occurring], classes.allowed(cluster)[occurring])


def offers_in(number: Ints, demand: Ints, allowed: Flags) -> Offers:
    """These sequences of numbers of classes, shape (sequences, length), each with its demand and the models allowed."""
    cpu, memory, devices, milli = demand.T
    kinds = np.unique(milli)
    wholes = np.where(devices > 1, devices, 0)
    return Offers(
        demand,
        number.astype(np.uint16),
        np.unique(cpu),
        np.unique(memory),
        np.searchsorted(kinds, np.arange(WHOLE_GPU_MILLI + 1), side="right"),
        _words(number, _at_most(cpu)),
        _words(number, _at_most(memory)),
        _words(number, _at_most(milli)),
        _words(number, wholes <= np.arange(wholes.max() + 1)[:, None]),
        _words(number, (allowed | (devices == 0)[:, None]).T),
    )


def _at_most(asked: Ints) -> Flags:
    """Whether each class asks for no more than the first 0, 1, ... of the amounts, shape (amounts + 1, classes)."""
    amounts, rank = np.unique(asked, return_inverse=True)
    return np.asarray(rank < np.arange(amounts.size + 1)[:, None], np.bool_)


def _words(number: Ints, flags: Flags) -> Words:
    """The pods of the classes that each row of flags allows, shape (rows, sequences)."""
    bits = np.uint64(1) << np.arange(number.shape[1], dtype=np.uint64)
    return np.asarray(np.where(flags[:, number], bits, np.uint64(0)).sum(axis=2, dtype=np.uint64), np.uint64)


@compiled
def idle_after(cpu: int, memory: int, model: int, free: Ints, offers: Offers) -> int:
    """Idle thousandths of a GPU after each sequence, in sum; `free` of the devices with something free, descending."""
    demand, number, kinds, of_kind = offers.demand, offers.number, offers.kinds, offers.by_kind
    of_cpu, of_memory, of_whole, of_model = offers.by_cpu, offers.by_memory, offers.by_whole, offers.by_model
    some_cpu = np.searchsorted(offers.cpu, cpu, side="right")
    some_memory = np.searchsorted(offers.memory, memory, side="right")
    whole = 0
    for milli in free:
        whole += milli >= WHOLE_GPU_MILLI
    whole = min(whole, of_whole.shape[0] - 1)
    kind = kinds[free[0]]
    left = np.empty_like(free)
    idle = free.sum()
    total = 0
    for sequence in range(number.shape[0]):
        fitting = of_cpu[some_cpu, sequence] & of_memory[some_memory, sequence] & of_kind[kind, sequence]
        fitting &= of_whole[whole, sequence] & of_model[model, sequence]
        if fitting == 0:
            total += idle
            continue
        for device in range(left.size):  # a slice would be twice as slow
            left[device] = free[device]
        total += _offer(cpu, memory, idle, left, fitting, sequence, demand, number, kinds, of_kind)
    return total


@inlined
def _offer(
    cpu: int,
    memory: int,
    idle: int,
    left: Ints,
    fitting: np.uint64,
    sequence: int,
    demand: Ints,
    number: Numbers,
    kinds: Ints,
    of_kind: Words,
) -> int:
    """Idle thousandths after one sequence. A share takes the tightest device, as most policies would have it."""
    largest = left[0]
    while fitting and idle > 0:
        lowest = fitting & (~fitting + np.uint64(1))
        fitting ^= lowest
        each = number[sequence, _place_of(lowest)]
        count, milli = demand[each, 2], demand[each, 3]
        if milli > largest or demand[each, 0] > cpu or demand[each, 1] > memory:
            continue
        if count > 0:
            filled = _fill_tightest(left, milli) if count == 1 else _fill_whole(left, count, milli)
            if filled < 0:
                continue
            idle -= count * milli
            if filled == largest:
                largest = 0
                for device in left:
                    largest = max(largest, device)
                fitting &= of_kind[kinds[largest], sequence]
        cpu -= demand[each, 0]
        memory -= demand[each, 1]
    return int(idle)


@inlined
def _place_of(bit: np.uint64) -> int:
    """Which bit of a word this one is, 0 the lowest."""
    return int(_PLACES[(bit * _DE_BRUIJN) >> np.uint64(58)])


@inlined
def _fill_tightest(left: Ints, milli: int) -> int:
    """Take the device with the least that suffices, of which there is one; returns what it had."""
    tightest = 0
    least = 2 * WHOLE_GPU_MILLI
    for device in range(left.size):
        if milli <= left[device] < least:
            tightest, least = device, left[device]
    left[tightest] -= milli
    return least


@inlined
def _fill_whole(left: Ints, count: int, milli: int) -> int:
    """Take so many devices, if there are enough; returns what is taken of each, or -1."""
    fitting = 0
    for device in range(left.size):
        fitting += left[device] >= milli
    if fitting < count:
        return -1
    for device in range(left.size):
        if left[device] >= milli and count > 0:
            left[device] -= milli
            count -= 1
    return int(milli)
