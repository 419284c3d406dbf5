"""What can go wrong, by what is to be done about it.

TaxiwayError
├── TransientError     it may work later: retried with back-off, never dead-lettered
├── PermanentError     it will never work: a dead letter, or a problem document
│   └── TooLargeError  it does not fit into a record
└── LeaseLostError     somebody else owns the work now: stop doing it
"""

from __future__ import annotations


class TaxiwayError(Exception):
    """The root of the errors that Taxiway raises itself."""


class TransientError(TaxiwayError):
    """Something that is needed is away: a database, a broker, a peer."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which a caller may try again."""


class PermanentError(TaxiwayError):
    """The same input will fail for ever."""


class TooLargeError(PermanentError):
    """More than one record of the log may hold."""


class LeaseLostError(TaxiwayError):
    """A write of an old owner: its lease has a newer epoch."""
