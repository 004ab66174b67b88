"""Code of guests, files and modules that a config names: found, permitted or refused, and run.

A config may name code by file (`mine.py`), by file and name (`mine.py:Name`), or by module (`package.module`,
`module:name`). Relative files are looked for in the working directory. A run folder holds a copy of every such file, in
`code/`, with its SHA-256, so that the run can be opened where it was moved to. Code that came with a folder runs only
if the same code ran before on this machine, under the same name, or if the user permits it (`--trust`).
"""

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock, Timeout

from hyperevo.cache import user_cache
from hyperevo.errors import UserError, shortened, shown_path
from hyperevo.importing import Guest, hash_of
from hyperevo.reading import as_json, is_there, read_bytes

Files = Mapping[str, str]
"""SHA-256 by path, relative to a root folder."""

MOST_BYTES = 10_000_000
"""Size up to which a file is taken for source code."""


Around = Callable[["Source"], AbstractContextManager[Callable[[ModuleType], object]]]


class UntrustedCode(UserError):
    """Code that came with a folder, has not run here before, and is not trusted."""


@dataclass(frozen=True)
class Source:
    """Code that a config names.

    spelled, attribute: the name as the config has it, parted at its last colon. root, main: the folder from which its
    files import each other, and the main file, relative to it. sha256: the main file's. allowed: the only files that
    may be imported from the root; None for any. trusted: whether it may run. installed: whether it is a module of
    Python or of a package, of which no copy is kept. around: context in which it runs, which takes the source and gives
    a function that is called with the module; what that function imports is among the code's files.
    """

    spelled: str
    root: Path
    main: str
    sha256: str
    attribute: str = ""
    allowed: Files | None = None
    trusted: bool = True
    installed: bool = False
    around: "Around | None" = field(default=None, compare=False)

    @property
    def file(self) -> Path:
        """Path of the main file."""
        return self.root / self.main

    @property
    def is_file(self) -> bool:
        """True for code that is named by file, and not as a module."""
        return self.spelled.endswith(".py")

    def check_trust(self) -> None:
        """Raise UntrustedCode, which names file and hash, where the code may not run."""
        if not self.trusted:
            raise UntrustedCode(f"{self.file}: is code that has not run here before (sha256 {self.sha256[:12]}…); "
                                "--trust runs it, in Python trust=True")

    def load(self) -> ModuleType:
        """Module that the code makes when it runs. Raises UntrustedCode where it may not, and UserError, in one line,
        for whatever it raises, an exit included."""
        self.check_trust()
        known = _LOADED.get(self._key)
        if known is None or self.around not in (None, known.around) or known.has_changed():
            known = _LOADED[self._key] = _run(self)
        known.attributes.add(self.attribute)
        return known.module

    def contents(self) -> Mapping[str, bytes]:
        """Bytes of the main file and of all files below the root that it imported, by path; none of installed code."""
        if self._key not in _LOADED:
            self.load()
        return _LOADED[self._key].guest.contents

    def files(self) -> Files:
        """SHA-256 of the main file and of all files below the root that it imported."""
        self.contents()
        return {self.main: self.sha256} | _LOADED[self._key].guest.files()

    @property
    def _key(self) -> tuple[str, str, str]:
        return str(self.root.resolve()), self.main, self.sha256


class CodeName(str):
    """Name of code in a config, such as `mine.py:Name`, with its `source` and the `attribute` after the colon."""

    source: Source
    attribute: str

    def get(self) -> Any:
        """Object that is named; raises UserError where the code has none of that name, or may not run."""
        module = self.source.load()
        if not self.attribute:
            return module
        if self.attribute not in vars(module):
            raise UserError(f"{self.source.spelled}: has no class or function {self.attribute!r}")
        return vars(module)[self.attribute]


@dataclass(frozen=True)
class Code:
    """Location of the code that a config names, and permission to run it.

    trust: all of it may run. named: names that the user gave, whose code may run. folder: run folder whose copies are
    used. places: (root, main file) by name, for a process with another working directory.
    """

    trust: bool = False
    named: frozenset[str] = frozenset()
    folder: Path | None = None
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def locate(self, name: str) -> CodeName:
        """Find code by its name in a config; raises UserError where there is none. Nothing of it runs."""
        where, attribute = _parted(name)
        recorded = {} if self.folder is None else read_sources(self.folder)
        if self.folder is not None and recorded:
            source = _in_folder(self.folder, recorded, where)
        else:  # a run that an earlier version made has no copies
            source = _outside(where, self.places.get(where))
        source = replace(source, attribute=attribute)
        if not (self.trust or name in self.named):
            allowed = _known_files(source)
            source = replace(source, allowed=allowed, trusted=allowed is not None)
        found = CodeName(name)
        found.source, found.attribute = source, attribute
        return found


def _in_folder(folder: Path, recorded: Mapping[str, Any], where: str) -> Source:
    """A run folder's own copy, or the installed module that it was made with."""
    if where not in recorded:
        raise UserError(f"{folder}: holds no copy of the code {where}; its config has changed, or its folder `code`")
    own = recorded[where]
    if "folder" not in own:
        source = _outside(where)
        if source.sha256 != own["sha256"]:
            raise UserError(f"{source.file}: has changed since {folder} was made: sha256 {source.sha256[:12]}…, the "
                            f"run {own['sha256'][:12]}…")
        return source
    root = folder / "code" / own["folder"]
    for relative, sha256 in own["files"].items():
        if (found := sha256_of(root / relative)) != sha256:
            raise UserError(f"{root / relative}: has changed: sha256 {found[:12]}…, recorded {sha256[:12]}…")
    return Source(where, root, own["main"], own["files"][own["main"]], allowed=own["files"])


def name_in(value: str, context: Any) -> CodeName:
    """Validate a setting that names code, with pydantic's context, which holds the `Code` of the config."""
    if isinstance(value, CodeName):
        return value
    return (context["code"] if context else OWN).locate(value)


OWN = Code(trust=True)
"""Code of the user's own: whatever a config names may run."""


def is_guest_name(name: str) -> bool:
    """True for a part's name that is a file or a module, and not a component of the house."""
    return "." in name or ":" in name or "/" in name or os.sep in name


def _parted(name: str) -> tuple[str, str]:
    """`mine.py:Name` as (mine.py, Name); without a colon the second is empty."""
    where, colon, attribute = name.rpartition(":")
    if not colon or (len(where) == 1 and attribute[:1] in ("/", "\\")):  # the colon of a drive
        return name, ""
    return where, attribute


def _outside(where: str, place: tuple[str, str] | None = None) -> Source:
    """Code that lies in no run folder, at a known place or where its name leads."""
    root, main = (Path(place[0]), place[1]) if place is not None else _find(where)
    own = place is not None or where.endswith(".py") or root.resolve() == Path.cwd()
    return Source(where, root, main, sha256_of(root / main), installed=not own or where.partition(".")[0] == "hyperevo")


def _find(where: str) -> tuple[Path, str]:
    """(root folder, main file in it) of a file, or of a module in the working directory or installed."""
    if where.endswith(".py"):
        file = Path(where).absolute()
        if not is_there(file):
            raise UserError(f"{shown_path(where)}: no such file")
        return file.parent, file.name
    parts = where.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UserError(f"{shown_path(where)}: is neither a file that ends with .py nor the name of a module")
    origin = _origin(parts)
    if origin is None:
        raise UserError(f"{shown_path(where)}: no such module in Python, nor in the working directory")
    root = origin.parents[len(parts) - (origin.name != "__init__.py")]
    return root, origin.relative_to(root).as_posix()


def _origin(parts: Sequence[str]) -> Path | None:
    """File of a module, found without importing the packages above it; None where there is none in Python."""
    path: Sequence[str] | None = [os.getcwd(), *sys.path]
    importlib.invalidate_caches()
    for depth, part in enumerate(parts, start=1):
        own = part == "hyperevo" and depth == 1  # wherever the working directory is
        specification = None if own else PathFinder.find_spec(part, path)
        if specification is None and depth == 1:  # a package that is installed for editing has a finder of its own
            with suppress(ValueError):
                specification = importlib.util.find_spec(part)
        path = None if specification is None else specification.submodule_search_locations
        if specification is None or (path is None and depth < len(parts)):
            return None
    origin = None if specification is None else specification.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def sha256_of(file: Path) -> str:
    """SHA-256 of a file of source code; raises UserError where it cannot be read or is too large to be one."""
    return hash_of(read_bytes(file, MOST_BYTES))


# Running


@dataclass(frozen=True)
class _Loaded:
    """Code that ran in this process, and the names in it that were asked for."""

    module: ModuleType
    guest: Guest
    around: "Around | None"
    attributes: set[str] = field(default_factory=set)

    def has_changed(self) -> bool:
        """True where a file is no longer the one that ran."""
        try:
            return any((self.guest.root / path).read_bytes() != content
                       for path, content in self.guest.contents.items())
        except OSError:
            return True


_LOADED: dict[tuple[str, str, str], _Loaded] = {}


def _run(source: Source) -> _Loaded:
    hashes = {source.main: source.sha256} if source.allowed is None else source.allowed
    guest, around = Guest(source.root, hashes, source.allowed is not None), source.around or _nothing_around
    try:
        if source.installed:
            with around(source) as finish:
                finish(module := importlib.import_module(source.spelled))
            return _Loaded(module, guest, source.around)
        top = "" if source.is_file else source.spelled.partition(".")[0]
        with guest.importing(top), around(source) as finish:
            module = guest.run_file(source.main) if source.is_file else guest.run_module(source.spelled, source.main)
            finish(module)
        return _Loaded(module, guest, source.around)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # somebody else's code runs here, and may even exit
        reason = shortened(error)
        raise UserError(f"{source.spelled}: {type(error).__name__}{f': {reason}' if reason else ''}") from error


@contextmanager
def _nothing_around(source: Source) -> Iterator[Callable[[ModuleType], object]]:
    yield lambda module: None


# Trust


def _store() -> Path:
    return user_cache() / "trusted-code.json"


def _read_store() -> list[dict[str, Any]]:
    try:
        entries = as_json(read_bytes(_store(), MOST_BYTES), _store())
    except UserError:
        return []  # what cannot be read trusts nothing
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("files"), dict)
            and isinstance(entry.get("main"), str)] if isinstance(entries, list) else []


def _entry(source: Source, attribute: str) -> dict[str, Any]:
    return {"main": source.main, "name": attribute, "files": dict(source.files())}


def _known_files(source: Source) -> Files | None:
    """Files of code that ran here before, if this is the same: the name in it, the main file, and all that it imported
    from its folder."""
    here = [{"main": main, "name": name, "files": {main: sha256} | loaded.guest.files()}
            for (_, main, sha256), loaded in _LOADED.items() for name in loaded.attributes]
    for entry in [*here, *_read_store()]:
        files, same_name = entry["files"], entry.get("name") == source.attribute
        if not same_name or entry["main"] != source.main or files.get(source.main) != source.sha256:
            continue
        with suppress(UserError):
            if all(sha256_of(source.root / relative) == sha256 for relative, sha256 in files.items()):
                return files
    return None


def remember(sources: Sequence[Source]) -> None:
    """Keep in the user's cache that this code ran here."""
    if not sources:
        return
    with suppress(OSError, Timeout, UserError):  # without a cache the code has to be trusted again
        _store().parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_store().with_suffix(".lock"), timeout=10):
            entries = _read_store()
            new = [entry for source in sources if (entry := _entry(source, source.attribute)) not in entries]
            if new:
                temporary = _store().with_name(f".{_store().name}.{os.getpid()}")
                temporary.write_text(json.dumps([*entries, *new], indent=1), encoding="utf-8")
                temporary.replace(_store())


# Copies in a run folder


def copies_of(sources: Sequence[Source]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Record of loaded code for code/sources.json, and the copied files by their path in `code/`. Installed code is
    recorded, not copied."""
    record: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for source in sources:
        if source.spelled in record:
            continue
        if source.installed:
            record[source.spelled] = {"sha256": source.sha256}
            continue
        folder = str(len(record))
        record[source.spelled] = {"folder": folder, "main": source.main, "files": dict(source.files())}
        files |= {f"{folder}/{relative}": content for relative, content in source.contents().items()}
    return record, files


def read_sources(folder: Path) -> dict[str, Any]:
    """Record of the code that a run folder holds copies of; empty where it has none. Raises UserError where it is
    damaged or names files outside."""
    path = folder / "code" / "sources.json"
    if not path.is_file():
        return {}
    record = as_json(read_bytes(path, MOST_BYTES), path)
    try:
        for own in record.values():
            if "folder" in own:
                names = [own["folder"], own["main"], *own["files"]]
                if own["main"] not in own["files"] or not all(_stays_inside(str(name)) for name in names):
                    raise ValueError("names a file that is not below its folder")
            elif not isinstance(own["sha256"], str):
                raise ValueError("has no sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged: {shortened(error)}") from error
    return record


def _stays_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)
