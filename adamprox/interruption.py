"""Ctrl-C and SIGTERM, which Python raises wherever it happens to be."""


def was_interrupted(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt is an error, or led to it.

    Raised inside the import of an extension module, say, it comes out as an ImportError: caught as
    one, a checkpoint would be taken for damaged, or the run would go on.
    """
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
