"""Errors that are told in one line, and values as such a line shows them."""

import errno
from typing import Any

SHOWN = 200
"""Most characters that a message repeats of a value."""

FULL = (errno.ENOSPC, vars(errno).get("EDQUOT", errno.ENOSPC))


class UserError(Exception):
    """Bad usage, config or input. Its message is one line that names the file, key or value; the CLI exits with 2."""

    def __init__(self, message: object = ""):
        super().__init__(one_line(message))


class RunFailed(Exception):
    """A run could not go on, though nothing is wrong with its input. One line; the CLI exits with 1."""

    def __init__(self, message: object = ""):
        super().__init__(one_line(message))


def one_line(text: object) -> str:
    """Text on one line; characters that do not print, such as those a terminal obeys, are spelt as in `\\x1b`."""
    line = " ".join(filter(None, map(str.strip, str(text).splitlines())))
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


def reason(error: OSError | ValueError) -> str:
    """Cause of a file operation's failure in words."""
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
    return error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)


def shortened(text: object) -> str:
    """Text on one line of at most SHOWN characters."""
    line = one_line(text)
    return line if len(line) <= SHOWN else f"{line[:SHOWN - 1]}…"


def shown_path(path: object) -> str:
    """The end of a path, which names the file, on one line of at most SHOWN characters."""
    line = one_line(path)
    return line if len(line) <= SHOWN else f"…{line[1 - SHOWN:]}"


def shown(value: Any) -> str:
    """A value as a config spells it, strings in single quotes, on one line of at most SHOWN characters."""
    return shortened(_spelt(value))


def _spelt(value: Any) -> str:
    match value:
        case str():
            return repr(value[:SHOWN])
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > SHOWN:
            return f"an integer of {value.bit_length():,} bits"  # Python refuses to spell the largest ones
        case dict():
            return f"{{{', '.join(f'{key} = {_spelt(one)}' for key, one in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_spelt, value))}]"
    return str(value)
