"""Sets GPUs aside for the stages of deployments, and says why.

Consumes `deployment.events`, `placement.commands`, `node.events`, `tenant.events` and `capacity.questions` (group
`taxiway.scheduler.queue`): handlers in any copy only record them in the log of a pool's inputs. The holder of the
pool's lease, one process at a time, applies the inputs in order with the pure `domain.apply.apply`, and emits
`placement.events`, answers and the state of the queue (`capacity.events`), and the order of the inputs
(`placement.log`). Owns the Postgres schema `scheduler`: inputs, nodes, tenants' limits, reservations, claims,
decisions. Any number of copies may run; a copy without the lease records and stands by.
"""
