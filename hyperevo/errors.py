"""The one error a user can mend."""


class UserError(Exception):
    """Bad usage, config or input. Its message is one line that names the file, key or value; the CLI exits with 2."""
