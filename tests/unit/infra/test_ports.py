"""Ports: free, different, and out of the kernel's own range."""

import socket

import pytest

from infra.local import ports
from infra.local.ports import candidates, free_ports, is_listening


@pytest.fixture
def listener() -> socket.socket:
    """A server on a port of the kernel's choice."""
    return socket.create_server(("127.0.0.1", 0))


def test_candidates_end_where_the_kernel_begins_to_choose() -> None:
    assert candidates(32_768) == range(22_768, 32_768)


def test_a_machine_whose_kernel_chooses_from_all_ports_still_gets_some() -> None:
    assert len(candidates(1024)) > 10_000


def test_ports_are_different_and_in_range() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert set(found) <= set(candidates(ports._ephemeral_low()))


def test_taken_ports_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "candidates", lambda _low: range(29_000, 29_003))
    for _ in range(20):  # they are drawn by chance
        assert set(free_ports(2, taken={29_001})) == {29_000, 29_002}


def test_a_port_that_somebody_listens_on_is_not_free(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = listener.getsockname()[1]
    monkeypatch.setattr(ports, "candidates", lambda _low: range(busy, busy + 1))
    with pytest.raises(OSError, match="no 1 free ports"):
        free_ports(1)


def test_listening_is_seen(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert is_listening(port)
    listener.close()
    assert not is_listening(port)
