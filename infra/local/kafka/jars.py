"""Kafka's program: the jars of an installed Kafka 4, else fetched once by Maven into `.tools/kafka/<version>/`.

`python -m infra.local.kafka.jars` fetches them ahead of time and says where they are.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.local.errors import PartMissing

POM = Path(__file__).with_name("pom.xml")
_REPOSITORY = Path(__file__).parents[3]
_MAVEN_SECONDS = 900
_OLDEST_JAVA = 17


def version() -> str:
    """The Kafka version that the pom names."""
    match = re.search(r"<kafka\.version>(.+?)<", POM.read_text())
    if match is None:
        raise ValueError(f"{POM} names no kafka.version")
    return match.group(1)


def cache() -> Path:
    """The folder of the fetched jars; it exists only when they are complete."""
    tools = Path(os.environ.get("TAXIWAY_TOOLS_DIR") or _REPOSITORY / ".tools")
    return tools.absolute() / "kafka" / version()


def jars() -> Path:
    """The folder to put on the class path; raises PartMissing."""
    return _installed() or (cache() if cache().exists() else fetch())


def java() -> Path:
    """The Java to run them with; raises PartMissing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None or _java_major(found) < _OLDEST_JAVA:
        raise PartMissing(f"kafka: install Java {_OLDEST_JAVA} or newer (Debian: apt-get install default-jre-headless)")
    return Path(found)


def fetch() -> Path:
    """Have Maven copy the jars into the cache; raises PartMissing when there is no Maven or it has no way out."""
    maven = shutil.which("mvn")
    if maven is None:
        raise PartMissing("kafka: install Maven (Debian: apt-get install maven), or set KAFKA_HOME to a Kafka 4")
    target = cache()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as draft:
        _copy_dependencies(maven, Path(draft) / "jars")
        _move_into_place(Path(draft) / "jars", target)
    return target


def _copy_dependencies(maven: str, folder: Path) -> None:
    command = (
        *(maven, "--quiet", "--batch-mode", "--strict-checksums", "--file", str(POM)),
        *("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"),
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MAVEN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PartMissing(f"kafka: Maven did not fetch the jars within {_MAVEN_SECONDS} s") from error
    if done.returncode != 0:
        said = [*(line for line in done.stdout.splitlines() if "ERROR" in line), *done.stderr.split("\n")]
        complaint = next(filter(str.strip, said), f"it ended with {done.returncode} and no word")
        raise PartMissing(f"kafka: Maven could not fetch the jars: {complaint}")


def _move_into_place(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        if not target.exists():  # else another process was first, with the same jars
            raise


def _installed() -> Path | None:
    home = os.environ.get("KAFKA_HOME")
    libraries = Path(home) / "libs" if home else None
    return libraries if libraries and any(libraries.glob("kafka_2.13-4.*.jar")) else None


def _java_major(program: str) -> int:
    answer = subprocess.run((program, "-version"), capture_output=True, text=True).stderr
    match = re.search(r'version "(\d+)', answer)
    return int(match.group(1)) if match else 0


def _main() -> int:
    try:
        java()
        sys.stdout.write(f"{jars()}\n")
    except PartMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
