"""The exceptions whose text is meant for the person who started the job."""


class UserError(Exception):
    """Something a person can mend: says what was wrong, what was given and what is allowed.

    A job that raises it ends with exit code 64 and is not tried again.
    """


class ServiceError(RuntimeError):
    """Something outside cannot be used just now: says what, and what to do.

    A job that raises it ends with exit code 1, and is worth another try.
    """
