"""The owner of the nodes: lists them, and tells what is new about them."""

from __future__ import annotations

from loguru import logger

from services.deployer.domain.node import changes_between
from services.deployer.ports import Cluster, NodeStore
from services.kit.errors import TransientError
from services.kit.observability import metrics
from services.kit.persistence.leases import Lease

NODES_LEASE = "nodes"
"""The lease of the one process that tells of nodes."""


class NodeOwner:
    """Compares the cluster's nodes with what was told last."""

    def __init__(self, store: NodeStore, cluster: Cluster) -> None:
        self._store = store
        self._cluster = cluster

    async def tick(self, lease: Lease) -> None:
        """Tell what is new; nothing while the cluster is away: a silent cluster has not lost its nodes."""
        try:
            seen = await self._cluster.nodes()
        except TransientError as error:
            metrics.ROLLOUTS_FROZEN.labels(NODES_LEASE).inc()
            logger.error("nodes cannot be listed: {}", error)
            return
        changes = changes_between(await self._store.known(), seen)
        if changes:
            await self._store.save(lease, changes)
            logger.info("{} nodes are new, changed or gone", len(changes))
