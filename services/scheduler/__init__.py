"""Sets GPUs aside for the stages of deployments, and says why.

Consumes `deployment.events`, `placement.commands`, `node.events` and `tenant.events` (group `taxiway.scheduler.queue`):
handlers in any copy only record them in the log of a pool's inputs. The holder of the pool's lease, one process at a
time, applies the inputs in order, decides with the pure `domain.decide.decide`, and emits `placement.events`. Owns the
Postgres schema `scheduler`: inputs, nodes, tenants' limits, reservations, decisions. Any number of copies may run; a
copy without the lease records and stands by.
"""
