"""`taxiway dead-letters`: records that were set aside, and the way back for them. Speaks to Kafka alone."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from schemas.envelope import header_text
from schemas.topics import Topic, dead_letter_name, dead_letter_topics
from services.cli.api import Json
from services.cli.log import next_redrive, open_log
from services.cli.output import AsJson, Cell, moment, show_list
from services.cli.session import session_of
from services.kit.messaging.dead_letters import PREFIX
from services.kit.messaging.record import Record
from services.kit.messaging.redrive import redrive as send_back
from services.kit.messaging.replay import replay

app = typer.Typer(help="Records that were set aside, and the way back for them.", no_args_is_help=True)

FIELDS: dict[str, Cell] = {
    "topic": "original_topic",
    "group": "consumer_group",
    "offset": "offset",
    "from": "original_position",
    "error": "error_type",
    "message": "error_message",
    "failed": moment("failed_at"),
    "sent back": "is_redriven",
}
REDRIVEN_FIELDS: dict[str, Cell] = {
    "offset": "offset",
    "to": "topic",
    "error": "error_type",
    "message": "error_message",
}


def letter_of(record: Record, next_offset: int) -> Json:
    """A dead letter as its headers tell; `next_offset` is where the next redrive goes on."""

    def said(name: str) -> str | None:
        return header_text(record.headers, PREFIX + name)

    return {
        "dead_letter_topic": record.topic,
        "offset": record.offset,
        "key": (record.key or b"").decode(errors="replace"),
        "original_topic": said("original_topic"),
        "original_position": f"{said('original_topic')}/{said('original_partition')}/{said('original_offset')}",
        "consumer_group": said("consumer_group"),
        "error_type": said("error_type"),
        "error_message": said("error_message"),
        "failed_at": said("failed_at"),
        "is_redriven": record.offset < next_offset,
    }


def topics_to_read(topic: str | None) -> list[Topic]:
    """The dead-letter topics of `topic`, or of all; raises `typer.BadParameter` for one that nobody reads."""
    chosen = [dead for dead in dead_letter_topics() if topic is None or dead.name.startswith(f"{topic}.dlq.")]
    if not chosen:
        raise typer.BadParameter(f"{topic} is not a topic with readers")
    return chosen


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    topic: Annotated[str | None, typer.Option(help="Only records of this topic.")] = None,
    as_json: AsJson = False,
) -> None:
    """What was set aside, and why; those that were sent back too."""
    bootstrap, topics = session_of(context).bootstrap, topics_to_read(topic)
    with open_log(bootstrap, [dead.name for dead in topics]) as reader:
        records = [replayed.record for replayed in replay(bootstrap, topics)]
        following = {name: next_redrive(reader, name) for name in {record.topic for record in records}}
    show_list([letter_of(record, following[record.topic]) for record in records], FIELDS, as_json)


@app.command()
def redrive(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="Topic that the records came from.")],
    group: Annotated[str, typer.Argument(help="Consumer group that set them aside.")],
    actor: Annotated[str, typer.Option(help="Who sends them back.")],
    reason: Annotated[str, typer.Option(help="Why they will be handled now.")],
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back to where they came from, once their cause is mended; oldest first."""
    source = dead_letter_name(topic, group)
    if source not in {dead.name for dead in dead_letter_topics()}:
        raise typer.BadParameter(f"{group} does not read {topic}: see `taxiway dead-letters list`")
    bootstrap = session_of(context).bootstrap
    sending = partial(send_back, bootstrap, topic, group, actor=actor, reason=reason, limit=limit, dry_run=dry_run)
    with open_log(bootstrap, [source]):
        done = asyncio.run(sending())
    show_list([asdict(letter) for letter in done], REDRIVEN_FIELDS, as_json)
    if not as_json:
        typer.echo(f"{len(done)} {'would be ' if dry_run else ''}sent back")
