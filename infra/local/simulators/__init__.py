"""What a machine without GPUs and Kubernetes lacks, as one process: nodes, pods, a gateway.

`python -m infra.local.simulators` serves three things: a control API (nodes, workloads, routes, behaviours,
measurements), a gateway that splits `POST /{deployment_id}/v1/infer` by route weight among ready pods, and each pod as
a real HTTP model server on a port of its own. State lives in the process, so whoever controls it may come and go.
Nothing here is secure: it listens on loopback only.
"""
