"""Metering: counts what tenants use, exactly, and says when a limit is passed.

Consumes `taxiway.usage.samples.v1` (signed, untrusted; Faust, one group, any number of copies up to the partitions) and
`taxiway.tenant.events.v1` (producer keys and plans). Emits `taxiway.quota.events.v1`. Owns the Postgres schema
`metering` (raw samples, totals, keys, limits) and the settled side of the quota keys in Redis. Any number of copies.

Invariant: for each (tenant, meter, window) and source partition, `total` is the sum of the accepted samples with an
offset up to `hi`, and both are written together, everywhere.
"""
