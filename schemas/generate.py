"""Writes `schemas/jsonschema/<type>.json` (draft 2020-12) from the models; `--check` fails when they have drifted."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from schemas.catalogue import event_types

FOLDER = Path(__file__).parent / "jsonschema"


def render() -> dict[str, str]:
    """File name to content, for every registered event type."""
    files = {}
    for event_type, model in event_types().items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:{event_type.replace('.', ':')}",
            **model.model_json_schema(),
        }
        files[f"{event_type}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return files


def drift() -> list[str]:
    """Names of files that are missing, stale or left over."""
    wanted = render()
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write() -> None:
    """Write all files and remove those of types that are gone."""
    FOLDER.mkdir(exist_ok=True)
    wanted = render()
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def main() -> int:
    """Write, or with `--check` report drift with exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        write()
        return 0
    stale = drift()
    if stale:
        sys.stderr.write(f"generated schemas have drifted: {', '.join(stale)}; run `make generate`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
