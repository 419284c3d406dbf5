"""What is imported is named in pyproject.toml: what comes along with something else may stop coming along."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"services", "schemas", "infra", "bench", "tests"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imported(folder: str) -> Iterator[str]:
    """Top-level names of all modules that are imported in a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield (node.module or "").partition(".")[0]


def normal(name: str) -> str:
    """A distribution's name as the Python packaging rules compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*groups: str) -> set[str]:
    """Distributions that the project names, those of dependency groups too."""
    listed = [*PROJECT["project"]["dependencies"]]
    for group in groups:
        listed += PROJECT["dependency-groups"][group]
    return {normal(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in listed}


@pytest.mark.parametrize(
    ("folder", "groups"),
    [
        ("schemas", ()),
        ("services", ()),
        ("infra", ("local", "dev")),
        ("bench", ("local", "dev")),
        ("tests", ("local", "dev")),
    ],
)
def test_what_is_imported_is_declared(folder: str, groups: tuple[str, ...]) -> None:
    homes = packages_distributions()
    foreign = set(imported(folder)) - OURS - sys.stdlib_module_names
    assert foreign
    undeclared = {name for name in foreign if not declared(*groups) & {normal(home) for home in homes.get(name, [])}}
    assert undeclared == set()
