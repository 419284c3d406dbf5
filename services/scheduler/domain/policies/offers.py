"""What a node would be left with: it is offered fixed sequences of the pods to expect, and takes what fits.

The mean idle GPU after it is how much of what is free now will probably stay free for ever, on this node, with just
these devices, this CPU and this memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.policies.compiled import compiled
from services.scheduler.domain.policies.draws import draws
from services.scheduler.domain.policies.workload import Classes

SEQUENCES = 64
"""Sequences that a node is offered."""
LENGTH = 40
"""Pods of a sequence."""


class Offers(NamedTuple):
    """The sequences, as arrays."""

    demand: Ints
    """CPU, memory, devices, thousandths of each device of each pod; shape (sequences, length, 4)."""
    number: Ints
    """The pods' classes, shape (sequences, length)."""
    allowed: Flags
    """Whether a class may go to a GPU model, shape (classes, codes)."""


def offers_of(classes: Classes, cluster: Cluster) -> Offers:
    """Every class as often as its share demands, in an order that looks random and is always the same."""
    pods = SEQUENCES * LENGTH
    cumulated = classes.counts.cumsum()
    evenly = (2 * np.arange(pods) + 1) * cumulated[-1] // (2 * pods)
    drawn = np.searchsorted(cumulated, evenly, side="right")
    number = drawn[np.argsort(draws(np.arange(pods)), kind="stable")].reshape(SEQUENCES, LENGTH)
    return Offers(classes.demand[number], number, classes.allowed(cluster))


@compiled
def idle_after(cpu: int, memory: int, model: int, free: Ints, offers: Offers) -> int:
    """Idle thousandths of a GPU after each sequence, in sum; `free` of the devices with something free, descending."""
    demand, number, allowed = offers
    total = 0
    left = np.empty_like(free)
    idle = free.sum()
    for sequence in range(number.shape[0]):
        left[:] = free
        total += _offer(cpu, memory, idle, left, demand[sequence], number[sequence], allowed[:, model])
    return total


@compiled
def _offer(cpu: int, memory: int, idle: int, left: Ints, demand: Ints, number: Ints, allowed: Flags) -> int:
    """Idle thousandths after one sequence. A share takes the tightest device, as most policies would have it."""
    largest = left[0]
    for place in range(number.size):
        milli = demand[place, 3]
        if milli > largest or demand[place, 0] > cpu or demand[place, 1] > memory:
            continue
        count = demand[place, 2]
        if count > 0:
            if not allowed[number[place]]:
                continue
            filled = _fill_tightest(left, milli) if count == 1 else _fill_whole(left, count, milli)
            if filled < 0:
                continue
            idle -= count * milli
            if idle == 0:
                break
            if count > 1 or filled == largest:
                largest = left.max()
        cpu -= demand[place, 0]
        memory -= demand[place, 1]
    return int(idle)


@compiled
def _fill_tightest(left: Ints, milli: int) -> int:
    """Take the device with the least that suffices, of which there is one; returns what it had."""
    tightest = 0
    least = 1 << 30
    for device in range(left.size):
        if milli <= left[device] < least:
            tightest, least = device, left[device]
    left[tightest] -= milli
    return least


@compiled
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
