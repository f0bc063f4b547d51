"""What can be wrong with a data set; each message is one line that names the command that mends it."""


class MissingDataError(FileNotFoundError, ValueError):
    """A data set has not been prepared; the message names the command that does it."""


class DamagedDataError(ValueError):
    """A prepared data set is not what was prepared; the message names the command that mends it."""
