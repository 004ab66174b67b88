"""Errors that are told in one line."""


class UserError(Exception):
    """Bad usage, config or input. Its message is one line that names the file, key or value; the CLI exits with 2."""


class RunFailed(Exception):
    """A run could not go on, though nothing is wrong with its input. One line; the CLI exits with 1."""
