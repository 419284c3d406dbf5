"""What can go wrong with the local parts.

LocalError
├── PartMissing    the part cannot be had on this machine; the message is one line that says what to install
├── PartFailed     the part ended or stayed unhealthy; the message ends with the last lines of its log
├── PartGiven      the part's address came from the environment, so it is not ours to start or stop
└── NothingStarted no part was ever started in this state directory
"""


class LocalError(Exception):
    """Root of the tree above."""


class PartMissing(LocalError):  # noqa: N818 - it names a state of the machine, which a test turns into a skip
    """The part is neither given, nor installed, nor installable here."""


class PartFailed(LocalError):  # noqa: N818
    """The part did not do what was asked within its time."""


class PartGiven(LocalError):  # noqa: N818
    """The part belongs to somebody else: its address is used as it is."""


class NothingStarted(LocalError):  # noqa: N818
    """The state directory holds no record of a stack."""
