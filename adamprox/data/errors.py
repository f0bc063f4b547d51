"""Errors of data sets; each message is one line with the command that repairs the data set."""


class MissingDataError(FileNotFoundError, ValueError):
    """A data set is not prepared; the message has the command that prepares it."""


class DamagedDataError(ValueError):
    """The files of a prepared data set changed; the message has the command that repairs it."""
