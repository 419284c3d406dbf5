"""The Redis keys of quotas. Only this folder reads or writes them.

    taxiway:quota:epoch              string: names the last rebuild; missing = the data set was lost
    taxiway:quota:scope:<bucket>     hash: held = sum of live holds; t<p>, h<p> = total and hi of source partition p
    taxiway:quota:holds:<bucket>     sorted set: "<amount> <hold id>" by expiry in ms, +inf when committed
    taxiway:quota:hold:<hold id>     hash: tenant; asks = fingerprint; state = held | settling | committed;
                                     expires = ms; <meter>:<window> = "<start> <amount>" or "settled"

<bucket> is <tenant>:<meter>:<window>:<start>, <start> an ISO date; `settled` is the sum of t<p>. The keys of one script
are not in one slot, so this needs a single primary (with replicas if you like), not a Redis Cluster.

Writers: `hold`, `commit`, `release` by admission; `settle` by metering. Scope keys never expire; a hold's record goes
one day after it has expired or was settled.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.kit.quota.model import Ask, Scope

EPOCH = "taxiway:quota:epoch"


def part(scope: Scope) -> str:
    """What names a scope within a hold: its meter and kind of window."""
    return f"{scope.meter}:{scope.window}"


def bucket(scope: Scope) -> str:
    """What names a scope in the keys."""
    return f"{scope.tenant_id}:{part(scope)}:{scope.window_start.isoformat()}"


def fingerprint(asks: Sequence[Ask]) -> str:
    """What makes two calls of one hold the same: tenant, meters, windows, amounts; not the day: a retry may cross
    midnight."""
    return " ".join(sorted(f"{ask.scope.tenant_id}:{part(ask.scope)}={ask.amount}" for ask in asks))
