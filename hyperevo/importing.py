"""Source code of guests run as modules: by its own text, with imports from its own folder first.

Compiled copies beside a file (`__pycache__`, extension modules) may be of other code, and are neither read nor written.
A module of the standard library, or of hyperevo, cannot be replaced by a file in a guest's folder.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import partial
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

KEPT = sys.stdlib_module_names | {"hyperevo", "__main__"}
"""Top-level names of modules that no file of a guest takes the place of."""


def hash_of(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class Guest:
    """Code below one folder. `contents` are the bytes of every file that ran, by path relative to it."""

    def __init__(self, root: Path, hashes: Mapping[str, str], closed: bool):
        """hashes: SHA-256 that files must have, by path relative to the root; closed: whether no other file may run."""
        self.root, self.hashes, self.closed = root.resolve(), dict(hashes), closed
        self.contents: dict[str, bytes] = {}
        self._names: set[str] = set()

    def files(self) -> dict[str, str]:
        """SHA-256 of every file that ran, by path relative to the root, sorted."""
        return {path: hash_of(content) for path, content in sorted(self.contents.items())}

    def run_file(self, main: str) -> ModuleType:
        """Module of a file, under a name of its own, so that `random.py` is no other module's."""
        file = self.root / main
        place = hash_of(str(self.root).encode())[:8]
        name = f"guest_{file.stem}_{self.hashes[main][:8]}_{place}"
        specification = importlib.util.spec_from_file_location(name, file, loader=_Loader(name, str(file), guest=self))
        assert specification is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module  # dataclasses look for their module there
        try:
            _Loader(name, str(file), guest=self).exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def run_module(self, name: str, main: str) -> ModuleType:
        """Module by its dotted name; raises ImportError where another file than `main` ran for it."""
        module = importlib.import_module(name)
        if main not in self.contents:
            raise ImportError(f"{name} is another module than {self.root / main}")
        return module

    def read(self, file: Path) -> bytes:
        """Bytes of a file that is about to run; raises ImportError where they are not those that may."""
        relative, content = file.relative_to(self.root).as_posix(), file.read_bytes()
        known = self.hashes.get(relative)
        if (known is None and self.closed) or (known is not None and known != hash_of(content)):
            raise ImportError(f"{file}: {'has changed' if known else 'is not among the files that ran before'}")
        self.contents[relative] = content
        return content

    def find(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Specification of a module below the root; None for all others."""
        top = fullname.partition(".")[0]
        if top in KEPT or (path is not None and top not in self._names):
            return None
        for entry in [str(self.root)] if path is None else path:
            finder = FileFinder(entry, (partial(_Loader, guest=self), SOURCE_SUFFIXES))  # type: ignore[arg-type]
            found = finder.find_spec(fullname) if Path(entry).is_relative_to(self.root) else None
            if found is not None and (found.loader is not None or path is not None or _is_no_package(fullname)):
                self._names.add(top)
                return found
        if path is not None and self.closed:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None

    @contextmanager
    def importing(self, top: str = "") -> Iterator[None]:
        """Context in which modules are looked for here first, the one called `top` here only. After it `sys.modules`
        has those that it had before under the same names: nobody else gets a guest's module for another."""
        tops = {name.partition(".")[0] for name in sys.modules}
        aside = _taken({own for own in tops if own == top or self._holds(own)})
        finder = _Finder([self])
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            _taken(self._names | {top})
            sys.modules.update(aside)
            _LATER.guests.insert(0, self)

    def _holds(self, top: str) -> bool:
        """True for the name of a module that a file here takes the place of."""
        return top not in KEPT and ((self.root / f"{top}.py").is_file() or (self.root / top / "__init__.py").is_file())


def _is_no_package(name: str) -> bool:
    """True where no module of that name has a file: a folder without `__init__.py` is a package only then."""
    found = PathFinder.find_spec(name)
    return found is None or found.origin is None


def _taken(tops: Set[str]) -> dict[str, ModuleType]:
    """Modules of these top-level names, taken out of `sys.modules`."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, guest: Guest):
        super().__init__(fullname, path)
        self._guest = guest

    def get_code(self, fullname: str) -> CodeType:
        """Compiled from the text, whatever lies beside it."""
        return self.source_to_code(self._guest.read(Path(self.path)), self.path)


class _Finder:
    def __init__(self, guests: list[Guest]):
        self.guests = guests

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Specification of a module in the folder of one of the guests."""
        found = (guest.find(fullname, path) for guest in self.guests)
        return next((own for own in found if own is not None), None)


_LATER = _Finder([])
"""Last in the search for modules: what functions of guests import when they are called."""

sys.meta_path.append(_LATER)
