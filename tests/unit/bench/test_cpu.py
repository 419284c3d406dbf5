"""Processor time by thread."""

from __future__ import annotations

import threading

from bench.cpu import NATIVE, cpu_by_thread, used_since


def test_a_thread_that_works_is_seen_and_one_that_waits_is_not() -> None:
    may_end, has_worked = threading.Event(), threading.Event()

    def work() -> None:
        sum(number * number for number in range(300_000))
        has_worked.set()
        may_end.wait(10)

    before = cpu_by_thread()
    threads = [threading.Thread(target=work, name="works"), threading.Thread(target=may_end.wait, name="waits")]
    for thread in threads:
        thread.start()
    assert has_worked.wait(10)
    used = used_since(before, cpu_by_thread())
    may_end.set()
    for thread in threads:
        thread.join()
    assert used["works"] > used.get("waits", 0.0) * 3


def test_the_rest_of_the_process_has_a_name_too() -> None:
    assert NATIVE in cpu_by_thread()


def test_what_used_nothing_is_left_out() -> None:
    assert used_since({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.5, "c": 0.25}) == {"b": 0.5, "c": 0.25}
