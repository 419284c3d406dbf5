"""A consumer that the broker takes for the second of its name is out for good, and its process goes on with another."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError

from services.kit.messaging.consumer import consumer_settings
from tests.integration.kit.harness import Probe, eventually

ASKED = 12


def test_a_process_whose_consumer_was_fenced_joins_anew_and_handles_everything_once(probe: Probe) -> None:
    """given a running process; when another takes its static name, which a broker that was away may say of its own
    commits; then the process joins anew, and what is asked later is handled too."""
    with probe.running():
        ids = probe.ask(range(ASKED))
        eventually(lambda: probe.is_done(ASKED), probe.log)

        take_its_place(probe)

        ids += probe.ask(range(ASKED, 2 * ASKED))
        eventually(lambda: probe.is_done(2 * ASKED), probe.log)
    assert probe.effects() == dict.fromkeys(ids, 1)
    assert "joining anew" in probe.log.read_text()


def take_its_place(probe: Probe) -> None:
    """Join the probe's group under its own static name, and stay until it is thrown out in turn."""
    double = Consumer({**consumer_settings(probe.bootstrap, f"probe.{probe.run}", "0", 6), "log_level": 0})
    double.subscribe([probe.asked])
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            message = double.poll(0.2)
            error = None if message is None else message.error()
            if error is not None and error.code() == KafkaError._FATAL:
                return
        raise AssertionError(f"the process did not come back\n{probe.log.read_text()[-2000:]}")
    finally:
        double.close()
