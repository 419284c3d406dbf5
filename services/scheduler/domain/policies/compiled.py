"""Compilation of the inner loops, which numpy alone cannot express, to machine code.

What is compiled is kept on disk beside the module, so that only the first process on a machine waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The function compiled. It may use numbers, numpy arrays, tuples of them, and other compiled functions.

    It keeps the interpreter's lock: a call takes a fraction of a millisecond, and who gives it up may wait five for it
    afterwards, while the other thread is busy with messages.
    """
    return cast(Callable[Parameters, Result], njit(cache=True)(function))


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The same for the body of an inner loop: a call would hand over each array as seven numbers."""
    return cast(Callable[Parameters, Result], njit(cache=True, forceinline=True)(function))
