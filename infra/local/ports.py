"""Free loopback ports that stay free while their part is stopped."""

import random
import socket
from collections.abc import Collection
from pathlib import Path

LOOPBACK = "127.0.0.1"
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_WIDTH = 10_000
_TRIES = 200


def candidates(ephemeral_low: int) -> range:
    """Ports to choose from, just below `ephemeral_low`, where the kernel starts to hand out ports of its own.

    Inside the ephemeral range a client that retries while its server is stopped is given that very port as its
    source sooner or later; it then connects to itself, and the server cannot bind on its return.
    """
    low = max(1024, ephemeral_low - _WIDTH)
    return range(low, ephemeral_low) if ephemeral_low - low >= _WIDTH // 2 else range(_WIDTH, 60_000)


def free_ports(count: int, taken: Collection[int] = ()) -> tuple[int, ...]:
    """`count` different ports nobody listens on, none of `taken`; raises OSError when they do not turn up."""
    choice = candidates(_ephemeral_low())
    found: list[int] = []
    for _ in range(_TRIES):
        if len(found) == count:
            break
        port = random.SystemRandom().choice(choice)
        if port not in taken and port not in found and _can_bind(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"no {count} free ports in {choice.start}-{choice.stop - 1} after {_TRIES} tries")
    return tuple(found)


def is_listening(port: int, host: str = LOOPBACK, seconds: float = 0.5) -> bool:
    """Whether a TCP connection is accepted within `seconds`."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


def _ephemeral_low() -> int:
    try:
        return int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a connection in TIME_WAIT is no reason to refuse the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
