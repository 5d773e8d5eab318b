"""The errors a user can cause. Each carries the exit status of the command that meets it.

The message is one line: what is wrong, where (file, line), and the remedy. Anything else that is
raised is our mistake and shows a traceback.
"""


class SeqlmError(ValueError):
    """A run that failed for a reason outside the four below (NaN loss, disk full)."""

    exit_code = 1


class UsageError(SeqlmError):
    """A flag, configuration key or combination that means nothing."""

    exit_code = 2


class DataError(SeqlmError):
    """Text that cannot be read or used."""

    exit_code = 3


class ModelError(SeqlmError):
    """A run folder or model that cannot be read, or cannot do what is asked."""

    exit_code = 4
