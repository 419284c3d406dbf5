"""The quota ledger in memory."""
