"""The front door: REST for people, `deployment.requests` for programs, one admission function for both.

Consumes REST; `deployment.requests` (group `taxiway.ingest.admission`, signed records from outside); for its read model
the events of deployments, placement, rollouts and nodes (group `taxiway.ingest.projection`). Emits `deployment.events`,
`rollout.commands`, `tenant.events` through its outbox, and `usage.samples` directly. Owns the Postgres schema `ingest`:
tenants, keys, models, deployments, the read model that GET shows. Any number of copies may run.
"""
