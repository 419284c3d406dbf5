"""Processor time by thread: what a wall clock on a busy machine cannot tell."""

from __future__ import annotations

import threading
import time

NATIVE = "librdkafka's own threads"


def cpu_by_thread() -> dict[str, float]:
    """Seconds that each living Python thread has used, by its name, and all other threads of the process together."""
    used: dict[str, float] = {}
    for thread in threading.enumerate():
        if thread.ident is not None:
            clock = time.pthread_getcpuclockid(thread.ident)
            used[thread.name] = used.get(thread.name, 0.0) + time.clock_gettime(clock)
    used[NATIVE] = time.process_time() - sum(used.values())
    return used


def used_since(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """What each thread of `now` has used since `before`, those that used nothing left out."""
    used = {name: seconds - before.get(name, 0.0) for name, seconds in now.items()}
    return {name: seconds for name, seconds in used.items() if seconds > 0}
