"""The contract of the quota ledger: in memory and in Redis."""
