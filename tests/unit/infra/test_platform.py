"""The platform as processes and files: what starts when and with what, what is told, what is left. Parts are given."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import platform as module
from infra.local.errors import NothingStarted, PartFailed
from infra.local.platform import Platform
from infra.local.ports import free_ports
from infra.local.stack import Addresses
from infra.local.workers import CLUSTER, ORDER, SERVICES, WorkerId
from tests.unit.infra.standins import StandIns

GIVEN = Addresses("broker:9092", "postgresql://root:boss@db:5433/postgres", "redis://:p@cache:6380/0")
WORKERS = {f"{name}-0" for name in ORDER}


class QuietPlatform(Platform):
    """One whose database and topics are provisioned by nobody."""

    def provision(self, addresses: Addresses) -> None:
        """Nothing is there to provision."""
        assert addresses == GIVEN
        assert self.credentials.exist()


@pytest.fixture(autouse=True)
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """What is started in the place of the services."""
    for variable, address in GIVEN.environment().items():
        monkeypatch.setenv(variable, address)
    for variable in [name for name in os.environ if name.startswith("TAXIWAY_") and name not in GIVEN.environment()]:
        monkeypatch.delenv(variable)
    made = StandIns(tmp_path)
    monkeypatch.setattr(module, "launch_of", made.launch)
    return made


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """One that was never started."""
    made = QuietPlatform(tmp_path / "state", environment={"TAXIWAY_LOG_LEVEL": "DEBUG"})
    yield made
    made.down()


def pids(platform: Platform) -> dict[str, int | None]:
    """Process ids of the workers."""
    return {name: part["pid"] for name, part in platform.status().items() if name in WORKERS}


def runs(pid: int | None) -> bool:
    """Whether there is such a process; one that ended is this session's child, which may not be collected yet."""
    return bool(pid and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_before_the_first_start_there_is_nothing_to_tell_or_to_stop(platform: Platform) -> None:
    with pytest.raises(NothingStarted, match="no platform was started"):
        platform.description()
    platform.down()
    platform.destroy()
    assert not platform.state_dir.exists()


def test_everything_starts_with_the_cluster_first_and_takes_work(platform: Platform, stand_ins: StandIns) -> None:
    platform.up()
    assert set(stand_ins.events("start")) == WORKERS
    assert stand_ins.events("start")[0] == "cluster-0"
    workers = {name: part for name, part in platform.status().items() if name in WORKERS}
    assert {(part["running"], part["ready"]) for part in workers.values()} == {(True, True)}
    assert len({part["port"] for part in workers.values()}) == len(ORDER)
    assert all(Path(part["log"]).exists() for part in workers.values())


def test_a_second_start_starts_only_what_does_not_run(platform: Platform, stand_ins: StandIns) -> None:
    platform.up()
    before = pids(platform)
    platform.kill(WorkerId("deployer"))
    assert pids(platform) == before | {"deployer-0": None}
    QuietPlatform(platform.state_dir).up()
    after = pids(platform)
    assert {name for name in WORKERS if after[name] != before[name]} == {"deployer-0"}
    assert after["deployer-0"] is not None
    assert len(stand_ins.events("start")) == len(ORDER) + 1


def test_services_stop_before_the_cluster_and_come_back_on_the_same_ports(
    platform: Platform, stand_ins: StandIns
) -> None:
    platform.up()
    ports, running = {name: part["port"] for name, part in platform.status().items()}, pids(platform)
    platform.down()
    assert stand_ins.events("stop")[-1] == "cluster-0"
    assert set(stand_ins.events("stop")) == WORKERS
    assert pids(platform) == dict.fromkeys(WORKERS)
    assert [name for name, pid in running.items() if runs(pid)] == []
    platform.up()
    assert {name: part["port"] for name, part in platform.status().items()} == ports


def test_each_worker_gets_what_it_needs_and_no_more(platform: Platform, stand_ins: StandIns) -> None:
    platform.up()
    admin_password = "boss"
    for service, schema in (("scheduler", "scheduler"), ("deployer", "deployer"), ("metering", "metering")):
        environment = stand_ins.environment(f"{service}-0")
        assert f"taxiway_{schema}_worker:" in environment[f"TAXIWAY_{service.upper()}_POSTGRES_DSN"]
        assert environment["TAXIWAY_KAFKA_BOOTSTRAP"] == "broker:9092"
        assert environment["TAXIWAY_INSTANCE"] == "0"
        assert environment["TAXIWAY_LOG_LEVEL"] == "DEBUG"
        dsns = [value for value in environment.values() if "postgresql://" in value]
        assert len(dsns) == 1, "no other service's database"
    front = stand_ins.environment("ingest_api-0")
    assert "taxiway_ingest_app:" in front["TAXIWAY_INGEST_POSTGRES_DSN"]
    assert "taxiway_ingest_worker:" in front["TAXIWAY_INGEST_WORKER_DSN"]
    assert Path(front["TAXIWAY_INGEST_SIGNING_KEY_FILE"]).is_file()
    everything = [value for name in WORKERS for value in stand_ins.environment(name).values()]
    assert not any(admin_password in value for value in everything)
    assert not any("_owner:" in value for value in everything)
    cluster_url = platform.description()["cluster_url"]
    assert stand_ins.environment("deployer-0")["TAXIWAY_DEPLOYER_CLUSTER_URL"] == cluster_url
    assert stand_ins.arguments["cluster-0"][0::2] == ("--port", "--gateway-port", "--nodes")
    assert Path(stand_ins.arguments["cluster-0"][-1]).is_file()


def test_what_people_need_is_told_in_a_file_of_their_own(platform: Platform) -> None:
    platform.up()
    file = platform.state_dir / "platform.json"
    described = platform.description()
    assert described == json.loads(file.read_text())
    assert file.stat().st_mode & 0o077 == 0, "it holds a token"
    assert described["kafka_bootstrap"] == GIVEN.kafka_bootstrap
    assert set(described["health"]) == set(SERVICES)
    ports = {name: part["port"] for name, part in platform.status().items()}
    assert described["cluster_url"].endswith(f":{ports['cluster-0']}")
    assert described["api_url"].endswith(f":{ports['ingest_api-0']}")
    assert described["health"]["ingest_api"] != described["api_url"]


def test_a_worker_that_dies_while_it_starts_is_told_with_its_last_words(
    platform: Platform, stand_ins: StandIns
) -> None:
    stand_ins.dies.add("metering")
    with pytest.raises(PartFailed, match=r"(?s)metering-0 ended while it was starting.*no such luck"):
        platform.up()
    assert pids(platform)["metering-0"] is None
    stand_ins.dies.clear()
    platform.up()
    assert None not in pids(platform).values()


def test_a_worker_that_never_takes_work_is_told_and_not_left_running(
    platform: Platform, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    stand_ins.never_ready.add("metering")
    with pytest.raises(PartFailed, match="metering-0 was not healthy"):
        platform.up()
    assert pids(platform)["metering-0"] is None
    assert pids(platform)["scheduler-0"] is not None


def test_no_two_workers_are_given_one_port(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def lowest(count: int, taken: Collection[int]) -> tuple[int, ...]:
        return tuple([port for port in pool if port not in taken][:count])

    pool = free_ports(7)
    monkeypatch.setattr(module, "free_ports", lowest)
    platform.up()
    assert {part["port"] for name, part in platform.status().items() if name in WORKERS} <= set(pool)
    assert len({part["port"] for name, part in platform.status().items() if name in WORKERS}) == len(ORDER)


def test_a_further_copy_has_ports_and_a_name_of_its_own(platform: Platform, stand_ins: StandIns) -> None:
    platform.up()
    copy = WorkerId("scheduler", "1")
    platform.start(copy)
    status = platform.status()
    assert status["scheduler-1"]["port"] != status["scheduler-0"]["port"]
    assert stand_ins.environment("scheduler-1")["TAXIWAY_INSTANCE"] == "1"
    platform.stop(copy)
    assert stand_ins.events("stop") == ["scheduler-1"]
    assert platform.status()["scheduler-0"]["running"]


def test_a_kill_gives_no_time_to_drain(platform: Platform, stand_ins: StandIns) -> None:
    platform.up()
    platform.kill(WorkerId(CLUSTER))
    assert stand_ins.events("stop") == []
    assert pids(platform)["cluster-0"] is None


def test_destroy_leaves_nothing_of_ours_and_everything_of_others(platform: Platform) -> None:
    platform.up()
    running = pids(platform)
    (platform.state_dir / "notes.txt").write_text("mine")
    platform.destroy()
    assert [path.name for path in platform.state_dir.iterdir()] == ["notes.txt"]
    assert [name for name, pid in running.items() if runs(pid)] == []
    (platform.state_dir / "notes.txt").unlink()
    platform.up()
    platform.destroy()
    assert not platform.state_dir.exists()


def test_a_folder_that_only_looks_like_ours_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "credentials").mkdir(parents=True)
    (home / "credentials" / "diary").write_text("mine")
    (home / "logs").mkdir()
    QuietPlatform(home).destroy()
    assert (home / "credentials" / "diary").read_text() == "mine"
    assert (home / "logs").exists()


def test_what_an_interrupted_start_made_is_removed(platform: Platform) -> None:
    platform.state_dir.mkdir()
    platform.credentials.ensure()
    (platform.state_dir / "logs").mkdir()
    platform.destroy()
    assert not platform.state_dir.exists()


@pytest.mark.parametrize("name", ["TAXIWAY_LOG_LEVEL", "TAXIWAY_OTLP_ENDPOINT"])
def test_how_to_log_and_where_to_send_traces_is_passed_on(
    name: str, tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "as the person says")
    monkeypatch.setenv("TAXIWAY_TOKEN", "a person's secret")
    platform = QuietPlatform(tmp_path / "state")
    try:
        platform.up()
        environment = stand_ins.environment("metering-0")
    finally:
        platform.destroy()
    assert environment[name] == "as the person says"
    assert "TAXIWAY_TOKEN" not in environment
