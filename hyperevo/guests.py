"""Code of guests, files and modules that a config names: found, permitted or refused, and run.

A config may name code by file (`mine.py`), by file and name (`mine.py:Name`), or by module (`package.module`,
`module:name`). Relative files are looked for in the working directory. A run folder holds a copy of every such file, in
`code/`, with its SHA-256, so that the run can be opened where it was moved to. Code that came with a folder runs only
if the same code ran before on this machine, or if the user permits it (`--trust`).
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from hyperevo.cache import user_cache
from hyperevo.errors import UserError, reason

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

    spelled: the name as the config has it, without `:name`. root, main: the folder from which its files import each
    other, and the main file, relative to it. sha256: the main file's. allowed: the files that may be imported from the
    root; None for any. trusted: whether it may run. installed: whether it is a module of Python or of a package, of
    which no copy is kept. around: context in which it runs, which takes the source and gives a function that is called
    with the module; what that function imports is among the code's files.
    """

    spelled: str
    root: Path
    main: str
    sha256: str
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

    def load(self) -> ModuleType:
        """Module that the code makes when it runs. Raises UntrustedCode where it may not, and UserError, in one line,
        for whatever it raises, an exit included."""
        if not self.trusted:
            raise UntrustedCode(f"{self.file}: is code that has not run here before (sha256 {self.sha256[:12]}…); "
                                "--trust runs it, in Python trust=True")
        known = _LOADED.get(self._key)
        if known is None or self.around not in (None, known.around) \
                or any(sha256_of(self.root / file) != sha256 for file, sha256 in known.files.items()):
            known = _LOADED[self._key] = _run(self)
        return known.module

    def files(self) -> Files:
        """SHA-256 of the main file and of all files below the root that it imports."""
        self.load()
        return _LOADED[self._key].files

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
    used. places: absolute files by name, for a process with another working directory.
    """

    trust: bool = False
    named: frozenset[str] = frozenset()
    folder: Path | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    def locate(self, name: str) -> CodeName:
        """Find code by its name in a config; raises UserError where there is none. Nothing of it runs."""
        where, attribute = _parted(name)
        source = self._in_folder(where) if self.folder is not None else None
        if source is None:
            source = _outside(where, self.places.get(where, where))
        if not (self.trust or name in self.named or where in self.named):
            allowed = _known_files(source)
            source = replace(source, allowed=allowed, trusted=allowed is not None)
        found = CodeName(name)
        found.source, found.attribute = source, attribute
        return found

    def _in_folder(self, where: str) -> Source | None:
        """A run folder's own copy; None where the run was made with code that is installed."""
        assert self.folder is not None
        recorded = read_sources(self.folder)
        if where not in recorded:
            raise UserError(f"{self.folder}: holds no copy of the code {where}: it was made by an earlier version, or "
                            "its folder `code` is gone")
        own = recorded[where]
        if "folder" not in own:
            source = _outside(where, where)
            if source.sha256 != own["sha256"]:
                raise UserError(f"{source.file}: has changed since {self.folder} was made: sha256 "
                                f"{source.sha256[:12]}…, the run {own['sha256'][:12]}…")
            return source
        root = self.folder / "code" / own["folder"]
        for relative, sha256 in own["files"].items():
            if (found := sha256_of(root / relative)) != sha256:
                raise UserError(f"{root / relative}: has changed: sha256 {found[:12]}…, recorded {sha256[:12]}…")
        return Source(where, root, own["main"], own["files"][own["main"]], own["files"])


def name_in(value: str, context: Any) -> CodeName:
    """Validate a setting that names code, with pydantic's context, which holds the `Code` of the config."""
    if isinstance(value, CodeName):
        return value
    return (context["code"] if context else OWN).locate(value)


OWN = Code(trust=True)
"""Code of the user's own: whatever a config names may run."""


@dataclass(frozen=True)
class _Loaded:
    module: ModuleType
    files: Files
    around: "Around | None"


_LOADED: dict[tuple[str, str, str], _Loaded] = {}
_IMPORTED: set[str] = set()
"""Names in `sys.modules` of files that guests imported from their folders."""


def _outside(where: str, place: str) -> Source:
    """Code that lies in no run folder."""
    root, main = _find(place)
    installed = not where.endswith(".py") and root.resolve() != Path.cwd()
    return Source(where, root, main, sha256_of(root / main), installed=installed)



def is_guest_name(name: str) -> bool:
    """True for a part's name that is a file or a module, and not a component of the house."""
    return "." in name or ":" in name or "/" in name or os.sep in name


def _parted(name: str) -> tuple[str, str]:
    """`mine.py:Name` as (mine.py, Name); without a colon the second is empty."""
    where, colon, attribute = name.rpartition(":")
    if not colon or (len(where) == 1 and attribute[:1] in ("/", "\\")):  # the colon of a drive
        return name, ""
    return where, attribute


def _find(where: str) -> tuple[Path, str]:
    """(root folder, main file in it) of a file, or of a module in the working directory or installed."""
    if where.endswith(".py"):
        file = Path(where)
        if not file.is_file():
            raise UserError(f"{where}: no such file")
        return file.parent, file.name
    parts = where.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UserError(f"{where}: is neither a file that ends with .py nor the name of a module")
    path: Sequence[str] | None = [os.getcwd(), *sys.path]
    for depth, _ in enumerate(parts, start=1):
        # The machinery's finder looks without importing the packages above.
        specification = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), path)
        path = None if specification is None else specification.submodule_search_locations
        if specification is None or (path is None and depth < len(parts)):
            raise UserError(f"{where}: no such module")
    if specification is None or specification.origin is None or not specification.origin.endswith(".py"):
        raise UserError(f"{where}: is not a module in Python")
    file = Path(specification.origin)
    root = file.parents[len(parts) - (file.name != "__init__.py")]
    return root, file.relative_to(root).as_posix()


def sha256_of(file: Path) -> str:
    """SHA-256 of a file of source code; raises UserError where it is none or cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file}: is not a file of source code")
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {reason(error)}") from error


# Running


def _run(source: Source) -> _Loaded:
    around = source.around or _nothing_around
    try:
        if source.installed:
            with around(source) as finish:
                finish(module := importlib.import_module(source.spelled))
            return _Loaded(module, {source.main: source.sha256}, source.around)
        with _importing_from(source), around(source) as finish:
            module = _import_file(source) if source.is_file else importlib.import_module(source.spelled)
            finish(module)
            return _Loaded(module, _imported_files(source), source.around)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # somebody else's code runs here, and may even exit
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source.spelled}: {type(error).__name__}{f': {reason}' if reason else ''}") from error


@contextmanager
def _nothing_around(source: Source) -> Iterator[Callable[[ModuleType], object]]:
    yield lambda module: None


def _import_file(source: Source) -> ModuleType:
    """Run a file under a name of its own, so that `random.py` is no other module's."""
    place = hashlib.sha256(str(source.file.resolve()).encode()).hexdigest()[:8]
    name = f"guest_{source.file.stem}_{source.sha256[:8]}_{place}"
    specification = importlib.util.spec_from_file_location(name, source.file,
                                                           loader=_PlainSource(name, str(source.file)))
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look for their module there
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _PlainSource(importlib.machinery.SourceFileLoader):
    """Loads source code and no bytecode: a `.pyc` beside it may be of any other source."""

    def get_code(self, fullname: str) -> CodeType:
        """Code of the source file as it is now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds modules in the folder of a guest, if they are allowed: of its own files any, of recorded ones source only.
    """

    def __init__(self, source: Source):
        self.root, self.allowed = source.root.resolve(), source.allowed

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Specification of a module in the folder; None for all others."""
        top = fullname.partition(".")[0]
        if top in sys.stdlib_module_names or (path is not None and top not in _IMPORTED) or not self._is_allowed(top):
            return None
        places = [str(self.root)] if path is None else list(path)
        found = importlib.machinery.PathFinder.find_spec(fullname, places) if self.allowed is None \
            else next(filter(None, (_source_in(place, fullname) for place in places)), None)
        if found is None or found.origin is None:
            return None
        _IMPORTED.add(top)
        return found

    def _is_allowed(self, name: str) -> bool:
        """True where all files that a name may import are recorded and unchanged."""
        if self.allowed is None:
            return True
        files = [self.root / f"{name}.py", *(self.root / name).rglob("*.py")]
        relative = [file.relative_to(self.root).as_posix() for file in files if file.is_file()]
        return bool(relative) and all(self.allowed.get(own) == sha256_of(self.root / own) for own in relative)


def _source_in(folder: str, name: str) -> importlib.machinery.ModuleSpec | None:
    return importlib.machinery.FileFinder(folder, (_PlainSource, [".py"])).find_spec(name)


@contextmanager
def _importing_from(source: Source) -> Iterator[None]:
    """Context in which modules are looked for in a guest's folder first, after modules of other guests are
    forgotten."""
    finder: Any = _Finder(source)
    for name in [name for name in sys.modules if name.partition(".")[0] in _IMPORTED]:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _imported_files(source: Source) -> dict[str, str]:
    """SHA-256 of the main file and of those that were imported from its folder."""
    root, found = source.root.resolve(), {source.main: source.sha256}
    for name, module in list(sys.modules.items()):
        file = vars(module).get("__file__") if name.partition(".")[0] in _IMPORTED else None
        if file is not None and Path(file).resolve().is_relative_to(root):
            relative = Path(file).resolve().relative_to(root)
            found[relative.as_posix()] = sha256_of(root / relative)
    return found


# Trust


def _store() -> Path:
    return user_cache() / "trusted-code.json"


def _read_store() -> list[dict[str, Any]]:
    try:
        entries = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError, UserError):
        return []  # what cannot be read trusts nothing
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("files"), dict)
            and isinstance(entry.get("main"), str)] if isinstance(entries, list) else []


def _known_files(source: Source) -> Files | None:
    """Files of code that ran here before, if this is the same: main file and all that it imported from its folder."""
    for entry in _read_store():
        files = entry["files"]
        if files.get(entry["main"]) != source.sha256 or entry["main"].rpartition("/")[2] != source.file.name:
            continue
        with suppress(UserError):
            if all(sha256_of(source.root / relative) == sha256 for relative, sha256 in files.items()):
                return files
    return None


def remember(sources: Sequence[Source]) -> None:
    """Keep in the user's cache that this code ran here."""
    entries = _read_store()
    for source in sources:
        entry = {"main": source.main, "files": dict(source.files())}
        if entry not in entries:
            entries.append(entry)
    with suppress(OSError, UserError):  # without a cache the code has to be trusted again
        _store().parent.mkdir(parents=True, exist_ok=True)
        temporary = _store().with_name(f".{_store().name}.{os.getpid()}")
        temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")
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
        folder, own = str(len(record)), source.files()
        record[source.spelled] = {"folder": folder, "main": source.main, "files": dict(own)}
        files |= {f"{folder}/{relative}": (source.root / relative).read_bytes() for relative in own}
    return record, files


def read_sources(folder: Path) -> dict[str, Any]:
    """Record of the code that a run folder holds copies of; empty where it has none. Raises UserError where it is
    damaged or names files outside."""
    path = folder / "code" / "sources.json"
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for own in record.values():
            if "folder" in own:
                names = [own["folder"], own["main"], *own["files"]]
                if own["main"] not in own["files"] or not all(_stays_inside(str(name)) for name in names):
                    raise ValueError("names a file that is not below its folder")
            elif not isinstance(own["sha256"], str):
                raise ValueError("has no sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: is damaged: {' '.join(str(error).split())}") from error
    return record


def _stays_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)
