"""The real parts on one machine: Kafka, PostgreSQL and Redis as detached child processes in one state directory.

`LocalStack` in `stack.py` is the way in; `pytest_plugin.py` lends it to tests, `bootstrap.sh` readies a bare machine.

    stack.py ─► supervised.py ─► kafka/ · postgres.py · redis.py   what a part is: its files, command, health, address
                     │        └► process.py                        how a process is started, known again and stopped
                     └─────────► record.py                         which ports, passwords and processes are ours

Boundaries: nothing here knows topics, schemas or services; it hands out addresses and stops what it started itself.
"""
