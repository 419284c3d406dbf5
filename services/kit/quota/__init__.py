"""Quotas that hold under concurrency: hold → commit | release at admission, settle by whoever counts.

Two services meet here and nowhere else: admission holds, commits and releases; metering settles. The Redis keys and
the scripts that touch them are this folder's alone. `model.py` has the words, `ledger.py` the adapter, `keys.py` the
layout.
"""
