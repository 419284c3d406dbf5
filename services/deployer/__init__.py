"""Moves live traffic to a new version stage by stage, and gives GPUs back once no pod is on them.

Consumes `deployment.events`, `placement.events`, `rollout.commands` and `tenant.events` (group
`taxiway.deployer.intake`): handlers in any copy only record. The holder of a shard's lease, one process at a time,
compares what is wanted with what the cluster shows and takes one pure step a pass (`domain.advance.advance`). Emits
`rollout.events`, `placement.commands` (it asks for later stages' GPUs, and it alone releases) and `node.events`. Owns
the Postgres schema `deployer`: revisions, rollouts, commands, answers of the scheduler, last-seen nodes. Any number of
copies may run.
"""
