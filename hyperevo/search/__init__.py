"""Searches: ask for genotypes, tell their fitness, one file each. `hyperevo.search("snes", encoding)` makes one."""

import sys
from types import ModuleType
from typing import Any

from hyperevo.parts import Encoding, Search


class _Searches(ModuleType):
    # `hyperevo.search` is this package: Python makes it so whenever a file in here is imported. The function of that
    # name is the same object, so that neither can hide the other; `import hyperevo.search.snes` works as ever.

    def __call__(self, name: str, encoding: Encoding, seed: int = 0, **settings: Any) -> Search:
        """See `hyperevo.session.search`."""
        from hyperevo import session
        return session.search(name, encoding, seed, **settings)


sys.modules[__name__].__class__ = _Searches
