"""What the kit costs, and how long a request takes: each figure beside a baseline that was measured in the same run.

    producing   awaited sends through the producer bridge           beside a bare producer with delivery callbacks
    consuming   the consumer loop with a process that does nothing  beside a bare consume/commit loop
    handling    inbox, handler, outbox, one transaction a batch     beside the same SQL on a bare asyncpg connection
    latency     REST request to placement event, real processes     beside one Kafka round trip and two commits

The baselines use nothing of the kit but its settings and its SQL texts, so that both sides ask the same of Kafka and
Postgres.
"""
