"""The cyclic garbage collector, set for processes that hold a batch of small objects at a time.

A batch of 500 records is some 7,000 tracked objects that are freed by reference counting when it is done. Python's
default looks for cycles after every 700, over and over in the same living batch, and each tenth of a tenth time in all
modules that were ever loaded: that took more than a third of a consumer's time (see bench/README.md).
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""Objects that may live before cycles are looked for among them: several batches in flight, some megabytes."""


def settle() -> None:
    """Call once when the process is built: what lives now is never looked at again, what comes is seldom looked at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
