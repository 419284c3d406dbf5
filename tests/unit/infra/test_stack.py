"""The stack before any process: given addresses, unknown names, folders that are not its own."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.errors import NothingStarted, PartGiven
from infra.local.stack import PARTS, Addresses, LocalStack

GIVEN = Addresses("broker-1:9092,broker-2:9092", "postgresql://u:p@db:5433/postgres", "redis://:p@cache:6380/0")


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in GIVEN.environment():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def all_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part's address is in the environment."""
    for variable, address in GIVEN.environment().items():
        monkeypatch.setenv(variable, address)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server on a port of the kernel's choice."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_addresses_are_complete_for_the_environment() -> None:
    assert GIVEN.environment() == {
        "TAXIWAY_KAFKA_BOOTSTRAP": "broker-1:9092,broker-2:9092",
        "TAXIWAY_POSTGRES_ADMIN_DSN": "postgresql://u:p@db:5433/postgres",
        "TAXIWAY_REDIS_URL": "redis://:p@cache:6380/0",
    }


@pytest.mark.usefixtures("all_given")
def test_given_addresses_are_used_as_they_are(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path / "state")
    assert stack.up() == stack.addresses() == GIVEN
    stack.down()
    stack.destroy()
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("all_given")
@pytest.mark.parametrize("part", PARTS)
def test_a_given_part_is_not_ours_to_stop(tmp_path: Path, part: str) -> None:
    stack = LocalStack(tmp_path / "state")
    for command in (stack.stop, stack.kill, stack.start):
        with pytest.raises(PartGiven, match="not ours"):
            command(part)
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("all_given")
def test_status_of_a_given_part_is_whether_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setenv("TAXIWAY_REDIS_URL", f"redis://:p@127.0.0.1:{port}/0")
    monkeypatch.setenv("TAXIWAY_KAFKA_BOOTSTRAP", f"127.0.0.1:{port},127.0.0.1:1")
    monkeypatch.setenv("TAXIWAY_POSTGRES_ADMIN_DSN", "postgresql://u:p@127.0.0.1:1/postgres")
    status = LocalStack(tmp_path).status()
    assert {name: one.running for name, one in status.items()} == {"kafka": True, "postgres": False, "redis": True}
    assert (status["redis"].port, status["redis"].pid, status["redis"].log) == (port, None, None)


def test_before_the_first_up_there_is_nothing(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path / "state")
    for ask in (stack.addresses, stack.status, lambda: stack.stop("redis"), lambda: stack.start("redis")):
        with pytest.raises(NothingStarted):
            ask()
    stack.down()
    stack.destroy()
    assert not (tmp_path / "state").exists()


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no part is called 'zookeeper'; there are kafka, postgres, redis"):
        LocalStack(tmp_path).up(["zookeeper"])


def test_destroy_leaves_a_folder_that_holds_no_stack(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    LocalStack(tmp_path).destroy()
    assert (tmp_path / "thesis.txt").exists()


def test_destroy_removes_what_an_interrupted_up_has_made(tmp_path: Path) -> None:
    (tmp_path / "state" / "logs").mkdir(parents=True)
    (tmp_path / "state" / "lock").touch()
    LocalStack(tmp_path / "state").destroy()
    assert not (tmp_path / "state").exists()
