"""The user's cache folder."""

from pathlib import Path

import platformdirs

from hyperevo.errors import UserError


def user_cache() -> Path:
    """Folder of hyperevo in the user's cache; raises UserError where the user has no home folder."""
    try:
        folder = platformdirs.user_cache_path("hyperevo", appauthor=False)
    except RuntimeError:
        folder = Path()
    if not folder.is_absolute():  # some versions leave a ~ that they cannot resolve
        raise UserError("the home folder is not known: set HOME or XDG_CACHE_HOME to a folder")
    return folder
