"""Arrays by name from the content of .npz files, which others made."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hyperevo.errors import UserError, shortened, shown_path

MOST_ARRAYS = 1_000


def unpack_arrays(content: bytes, path: Path | str, most_bytes: int, wanted: Callable[[str], bool],
                  hint: str = "") -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays whose names are wanted, and all names. Raises UserError, which names the file, where they are cut short,
    damaged, pickled, or more than `most_bytes` together; hint: what is said of a file of another format."""
    where, hint = shown_path(path), f"; {hint}" if hint else ""
    if not content:
        raise UserError(f"{where}: is empty")
    file = io.BytesIO(content)  # np.load leaves a file on disk open where it cannot read it
    if not zipfile.is_zipfile(file):
        raise UserError(f"{where}: is cut short or not an .npz file")
    if (count := content.count(b"PK\1\2")) > MOST_ARRAYS:  # the mark of every entry in the list of contents
        raise UserError(f"{where}: holds {count:,} arrays, where at most {MOST_ARRAYS:,} are read{hint}")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if (size := sum(member.file_size for member in arrays.zip.infolist())) > most_bytes:
                raise UserError(f"{where}: its arrays take {size:,} bytes, where at most {most_bytes:,} are read")
            # What is no array comes as bytes, which np.asarray makes one that is refused later.
            return {key: np.asarray(arrays[key]) for key in arrays.files if wanted(key)}, list(arrays.files)
    except UserError:
        raise
    except zipfile.BadZipFile as error:
        raise UserError(f"{where}: is cut short or damaged: {shortened(error)}") from error
    except Exception as error:  # numpy raises nearly anything where the head of an array is not as it should be
        if "allow_pickle" in str(error):
            raise UserError(f"{where}: holds pickled objects, which are never loaded{hint}") from error
        raise UserError(f"{where}: is cut short or damaged: an array in it cannot be read") from error
