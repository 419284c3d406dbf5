"""Options that several commands have: what a replica needs, and how it shares the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

TRAFFIC = "Traffic"
SHARING = "Sharing the cluster"

Gpus = Annotated[str | None, typer.Option("--gpu", "--gpus", help="GPUs of each pod: 1, 2, 500m, 0.")]
Mig = Annotated[str | None, typer.Option(help="MIG profile of the slice that is needed, instead of --gpu: 1g.10gb.")]
GpuModels = Annotated[list[str] | None, typer.Option("--gpu-model", help="GPU model that will do; repeatable.")]
Cpu = Annotated[str | None, typer.Option(help="CPU cores of each pod: 1 (default), 4, 500m.")]
Memory = Annotated[str | None, typer.Option(help="Memory of each pod: 1Gi (default), 512Mi.")]
Replicas = Annotated[int | None, typer.Option(help="Replicas at full strength; 1 by default.")]
Workers = Annotated[int | None, typer.Option(help="Pods of a replica, placed all or none; 1 by default.")]
Topology = Annotated[str | None, typer.Option(help="Where they may lie: any (default), prefer-same-zone, same-zone.")]
Pool = Annotated[str | None, typer.Option(help="Pool of nodes; `default` by default.")]
Priority = Annotated[int | None, typer.Option(help="Higher goes first in the queue; 100 by default.")]
MaxReplicas = Annotated[
    int | None, typer.Option(help="Grow up to so many replicas while there is room.", rich_help_panel=SHARING)
]
Preemptible = Annotated[
    bool | None,
    typer.Option(
        "--preemptible/--not-preemptible",
        help="Whether it may be drained for a higher priority.",
        rich_help_panel=SHARING,
    ),
]
StartWithin = Annotated[int | None, typer.Option(help="Give up when it has no GPUs by then.", rich_help_panel=SHARING)]
Expected = Annotated[
    int | None, typer.Option(help="How long it will run, for estimates of others' start.", rich_help_panel=SHARING)
]
Weights = Annotated[
    str | None,
    typer.Option(help="Percent of traffic by stage; 10,25,50,100 by default.", rich_help_panel=TRAFFIC),
]
Observe = Annotated[float | None, typer.Option(help="How long each stage is watched.", rich_help_panel=TRAFFIC)]
ErrorRate = Annotated[
    float | None, typer.Option(help="Share of failed requests above which a stage fails.", rich_help_panel=TRAFFIC)
]
Latency = Annotated[
    int | None, typer.Option(help="p99 latency in ms above which a stage fails.", rich_help_panel=TRAFFIC)
]
LatencyRatio = Annotated[
    float | None,
    typer.Option(help="p99 of the new version by stable's, above which it fails.", rich_help_panel=TRAFFIC),
]
Samples = Annotated[int | None, typer.Option(help="Requests that a verdict needs.", rich_help_panel=TRAFFIC)]
