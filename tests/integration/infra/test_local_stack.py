"""The local stack for real: it starts, is found again, survives outages with its data, and leaves no process."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.errors import PartFailed
from infra.local.ports import is_listening
from infra.local.pytest_plugin import start_or_skip
from infra.local.stack import PARTS, Addresses, LocalStack
from tests.integration.infra.clients import NOTEBOOKS

_VARIABLES = ("TAXIWAY_KAFKA_BOOTSTRAP", "TAXIWAY_POSTGRES_ADMIN_DSN", "TAXIWAY_REDIS_URL")


def processes_below(folder: Path) -> set[str]:
    """Commands of this machine's processes that work in `folder` or name it."""
    found = set()
    for process in psutil.process_iter(("cmdline", "cwd")):
        words = " ".join(process.info["cmdline"] or ())
        if str(folder) in words or (process.info["cwd"] or "").startswith(str(folder)):
            found.add(words)
    return found


@pytest.fixture(autouse=True, scope="module")
def _our_own_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in _VARIABLES:
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of this module's own, below a folder that is closed to other accounts."""
    one = LocalStack(tmp_path_factory.mktemp("closed") / "state")
    try:
        start_or_skip(one)
        for notebook in NOTEBOOKS.values():
            notebook.prepare(one.addresses())
        yield one
    finally:
        one.destroy()


@pytest.fixture
def light(tmp_path: Path, stack: LocalStack) -> Iterator[LocalStack]:
    """A second stack of which only Redis is started."""
    one = LocalStack(tmp_path / "state")
    yield one
    one.destroy()


def test_everything_is_up_on_loopback(stack: LocalStack) -> None:
    status = stack.status()
    assert set(status) == set(PARTS)
    for one in status.values():
        assert one.running
        assert one.pid is not None
        assert one.port is not None
        assert is_listening(one.port)
        assert one.memory_mib is not None
        assert one.log is not None
        assert one.log.stat().st_size > 0
    assert len({one.port for one in status.values()}) == len(PARTS)


def test_a_second_up_finds_what_runs(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = LocalStack(stack._state_dir)
    before = {name: one.pid for name, one in stack.status().items()}
    assert again.up() == stack.addresses()
    assert {name: one.pid for name, one in again.status().items()} == before


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_comes_back_with_its_data_on_the_same_address(stack: LocalStack, part: str, end: str) -> None:
    notebook, addresses, pid = NOTEBOOKS[part], stack.addresses(), stack.status()[part].pid
    notebook.write(addresses, f"before {end}")
    getattr(stack, end)(part)
    down = stack.status()[part]
    assert not down.running
    assert down.port is not None
    assert not is_listening(down.port)
    stack.start(part)
    assert stack.addresses() == addresses
    assert stack.status()[part].pid != pid
    assert notebook.read(addresses)[-1] == f"before {end}"
    notebook.write(addresses, "after")
    assert notebook.read(addresses)[-1] == "after"


def test_postgres_comes_back_after_a_crash_behind_our_back(stack: LocalStack) -> None:
    pid = stack.status()["postgres"].pid
    assert pid is not None
    server = psutil.Process(pid)
    server.kill()
    server.wait(10)
    stack.start("postgres")
    assert NOTEBOOKS["postgres"].read(stack.addresses()) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
def test_postgres_does_not_run_as_root(stack: LocalStack) -> None:
    pid = stack.status()["postgres"].pid
    assert psutil.Process(pid).uids().effective != 0


def test_the_address_of_a_running_part_is_used_as_it_is(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, address in stack.addresses().environment().items():
        monkeypatch.setenv(variable, address)
    guest = LocalStack(tmp_path / "guest")
    assert guest.up() == stack.addresses()
    guest.destroy()
    assert all(one.running for one in stack.status().values())


def test_a_stack_knows_its_own_exported_addresses(light: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever exports what `up` printed must still be able to stop and start it."""
    addresses = light.up(("redis",))
    for variable, address in addresses.environment().items():
        monkeypatch.setenv(variable, address)
    same = LocalStack(light._state_dir)
    same.stop("redis")
    assert not light.status()["redis"].running
    assert same.up(("redis",)) == addresses
    assert light.status()["redis"].running


def test_a_port_that_was_taken_meanwhile_is_told(light: LocalStack) -> None:
    light.up(("redis",))
    port = light.status()["redis"].port
    light.stop("redis")
    with (
        socket.create_server(("127.0.0.1", port or 0)),
        pytest.raises(PartFailed, match="another process listens"),
    ):
        light.start("redis")
    light.start("redis")


def test_down_leaves_no_process_and_keeps_the_data(light: LocalStack) -> None:
    addresses: Addresses = light.up(("postgres", "redis"))
    NOTEBOOKS["postgres"].prepare(addresses)
    for name in ("postgres", "redis"):
        NOTEBOOKS[name].write(addresses, "kept")
    home, elsewhere = light._state_dir / "postgres", (light._state_dir / "postgres").resolve()
    light.down()
    assert not any(processes_below(folder) for folder in (light._state_dir, elsewhere))
    assert not any(one.running for one in light.status().values())
    assert home.resolve() == home, "data that had to be put elsewhere is back"
    assert elsewhere == home or not elsewhere.exists()
    assert light.up(("postgres", "redis")) == addresses
    for name in ("postgres", "redis"):
        assert NOTEBOOKS[name].read(addresses) == ["kept"]


def test_destroy_leaves_nothing(light: LocalStack) -> None:
    light.up(("postgres", "redis"))
    elsewhere = (light._state_dir / "postgres").resolve()
    light.destroy()
    assert not light._state_dir.exists()
    assert not elsewhere.exists()
    assert not processes_below(light._state_dir)
    assert not processes_below(elsewhere)
