"""Code of guests: found, run from its own text, copied, and run for others only where it ran before."""

import json
import py_compile
import shutil
import sys
from pathlib import Path

import pytest

import hyperevo as he
from hyperevo import guests
from hyperevo.components import find_component
from hyperevo.errors import UserError
from hyperevo.guests import OWN, Code, UntrustedCode, copies_of, read_sources, remember
from hyperevo.runs.files import write_bytes, write_json


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function of paths and contents: files in the working directory, in place of those before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(guests, "_LOADED", {})

    def files(others=None, **contents):
        for path, content in {**(others or {}), **contents}.items():
            file = tmp_path / f"{path}.py"
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_text(content)
        return tmp_path

    return files


def got(name, code=OWN):
    return code.locate(name).get()


# Running


@pytest.mark.parametrize(("main", "others"), [
    ("from parts import value", {"parts": "value = 7"}),
    ("from parts.deep import value", {"parts/deep": "value = 7"}),
    ("from parts import value", {"parts/__init__": "from .deep import value", "parts/deep": "value = 7"}),
    ("from parts.deep.er import value", {"parts/__init__": "", "parts/deep/__init__": "",
                                         "parts/deep/er": "value = 7"}),
    ("import sys\nvalue = sys.modules[__name__].__dict__ and 7", {}),
    ("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Sizes:\n"
     "    seven: int = 7\nvalue = Sizes().seven", {}),
    ("import random\nvalue = 7 * hasattr(random, 'randint')", {"random": "1 / 0"}),
    ("import hyperevo\nvalue = 7 * hasattr(hyperevo, 'Encoding')", {"hyperevo": "1 / 0"}),
    ("import numpy\nvalue = 7 * (numpy.__name__ == 'numpy')", {"numpy/data": "1 / 0"}),
])
def test_a_file_runs_with_its_neighbours(write, main, others):
    write(others, mine=main)
    assert got("mine.py:value") == 7
    assert not list(write().rglob("__pycache__"))
    used = {f"{path}.py" for path in others if not path.startswith(("random", "hyperevo", "numpy"))}
    assert set(OWN.locate("mine.py").source.files()) == {"mine.py", *used}


def test_functions_may_import_neighbours_when_they_are_called(write):
    write(mine="def value():\n    from late import seven\n    return seven", late="seven = 7")
    named = OWN.locate("mine.py:value")
    assert named.get()() == 7 and set(named.source.files()) == {"mine.py", "late.py"}


def test_a_module_runs_by_its_name_and_imports_relatively(write):
    write({"package/inner/net": "from ..parts import value\nfrom . import other", "package/parts": "value = 7",
           "package/inner/other": ""})
    assert got("package.inner.net:value") == 7
    assert set(OWN.locate("package.inner.net").source.files()) == {
        "package/inner/net.py", "package/parts.py", "package/inner/other.py"}


def test_neighbours_of_one_name_in_two_folders_are_each_ones_own(write):
    write({"one/mine": "from shared_name import value", "one/shared_name": "value = 1",
           "two/mine": "from shared_name import value", "two/shared_name": "value = 2"})
    assert [got(f"{folder}/mine.py:value") for folder in ("one", "two", "one")] == [1, 2, 1]


def test_what_others_imported_under_the_same_name_is_put_back(write, monkeypatch):
    write({"package/__init__": "", "package/net": "value = 2"}, mine="from shared_name import value",
          shared_name="value = 1")
    write({"theirs/shared_name": "value = 3", "theirs/package/net": "value = 4", "theirs/package/__init__": ""})
    monkeypatch.syspath_prepend(write() / "theirs")
    import package.net
    import shared_name
    assert got("mine.py:value") == 1 and got("package.net:value") == 2
    assert sys.modules["shared_name"] is shared_name and shared_name.value == 3
    assert sys.modules["package.net"] is package.net and package.net.value == 4
    for name in ("shared_name", "package.net", "package"):
        monkeypatch.delitem(sys.modules, name)


def test_a_changed_file_runs_anew(write):
    write(mine="from other_part import value", other_part="value = 1")
    assert got("mine.py:value") == 1
    write(other_part="value = 22")
    assert got("mine.py:value") == 22
    write(mine="value = 3")
    assert got("mine.py:value") == 3


@pytest.mark.parametrize(("content", "line"), [
    ("import sys; sys.exit(3)", "mine.py: SystemExit: 3"), ("raise SystemExit", "mine.py: SystemExit"),
    ("exit('now')", "mine.py: SystemExit: now"),
    ("class Stop(BaseException): pass\nraise Stop('a\\nb')", "mine.py: Stop: a b"),
    ("import nothing_of_that_name", "mine.py: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    ("def broken(:", r"mine.py: SyntaxError: .*"), ("\0", r"mine.py: (SyntaxError|ValueError): .*"),
    ("raise ValueError('x' * 10_000)", "mine.py: ValueError: x+…"),
])
def test_whatever_code_raises_is_one_line(write, content, line):
    write(mine=content)
    with pytest.raises(UserError, match=f"^{line}$"):
        got("mine.py:value")


def test_an_interruption_is_none_of_its_own(write):
    write(mine="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        got("mine.py:value")


@pytest.mark.parametrize(("name", "line"), [
    ("nowhere.py", "nowhere.py: no such file"), ("nowhere.py:Name", "nowhere.py: no such file"),
    ("no.such.module", "no.such.module: no such module"), ("torch.no_such", "torch.no_such: no such module"),
    ("sub/file", "sub/file: is neither a file that ends with .py nor the name of a module"),
    ("a b.py", "a b.py: no such file"), ("x" * 5000 + ".py", "cannot be read: File name too long"),
    ("folder.py", "folder.py: cannot be read: Is a directory"), ("builtins:exec", "builtins: no such module in Python"),
    ("large.py", r"large.py: is too large"), ("pipe.py", "pipe.py: cannot be read: it is a pipe"),
])
def test_code_that_is_not_there_is_one_line(write, name, line):
    import os

    (write() / "folder.py").mkdir()
    (write() / "large.py").write_bytes(b"#" * 10_000_001)
    os.mkfifo(write() / "pipe.py")
    with pytest.raises(UserError, match=line) as told:
        OWN.locate(name)
    assert len(str(told.value)) < 400


# Parts


def test_guests_of_one_name_without_settings_are_not_confused(write):
    part = "class Own(he.Encoding):\n    def express(self, genotypes): pass\n    genes = {}\nbuild = Own\n"
    found = []
    for folder, genes in (("one", 1), ("two", 2), ("two", 3)):
        write({f"{folder}/mine": f"import hyperevo as he\n{part.format(genes)}"})
        found.append(find_component("encoding", f"{folder}/mine.py"))
    assert [component.build.genes for component in found] == [1, 2, 3]
    assert len({component.settings for component in found}) == 3
    assert all(isinstance(component.settings(), he.Settings) for component in found)


def test_one_file_may_hold_parts_of_several_kinds(write):
    write(mine="import hyperevo as he\nclass A:\n    class Settings(he.Settings):\n        a: int = 1\nclass B: pass\n")
    first, second = find_component("encoding", "mine.py:A"), find_component("search", "mine.py:B")
    assert (first.build.__name__, second.build.__name__) == ("A", "B")
    assert first.settings(name="mine.py:A", a=3).a == 3 and second.settings().name == "mine.py:B"
    with pytest.raises(UserError, match="mine.py: has no class 'C'"):
        find_component("task", "mine.py:C")
    with pytest.raises(UserError, match=r"mine.py: defines no function build\(settings, device\), which"):
        find_component("task", "mine.py")


# Trust


def kept(write, tmp_path, name="mine.py", folder="run"):
    """A run folder's copies of code that ran, and nothing known of it in this process."""
    source = OWN.locate(name).source
    source.load()
    record, copies = copies_of([source])
    for path, content in copies.items():
        (tmp_path / folder / "code" / path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(tmp_path / folder / "code" / path, content)
    write_json(tmp_path / folder / "code" / "sources.json", record)
    guests._LOADED.clear()
    return tmp_path / folder, source


def test_code_of_a_folder_runs_where_it_ran_before_or_is_trusted(write, tmp_path):
    write(mine="from parts import value", parts="value = 7")
    folder, source = kept(write, tmp_path)
    refused = Code(folder=folder).locate("mine.py:value")
    with pytest.raises(UntrustedCode, match=rf"code/0/mine.py: is code that has not run here before \(sha256 "
                                            rf"{source.sha256[:12]}…\); --trust runs it"):
        refused.get()
    assert got("mine.py:value", Code(trust=True, folder=folder)) == 7
    guests._LOADED.clear()
    remember([OWN.locate("mine.py:value").source])
    guests._LOADED.clear()
    for file in ("mine.py", "parts.py"):
        (tmp_path / file).unlink()
    assert got("mine.py:value", Code(folder=folder)) == 7
    assert not list(folder.rglob("__pycache__"))


def test_only_the_name_that_ran_is_known(write, tmp_path):
    write(mine="from os import system\ndef value(): return 7")
    folder, _ = kept(write, tmp_path)
    remember([OWN.locate("mine.py:value").source])
    guests._LOADED.clear()
    assert got("mine.py:value", Code(folder=folder))() == 7
    with pytest.raises(UntrustedCode):
        got("mine.py:system", Code(folder=folder))


def test_python_s_own_modules_are_not_run_for_a_stranger(tmp_path):
    for name in ("os:system", "subprocess:run", "torch.nn:Bilinear"):
        with pytest.raises(UntrustedCode, match="is code that has not run here before"):
            got(name, Code())


@pytest.mark.parametrize("file", ["mine.py", "parts.py"])
def test_code_that_changed_in_the_folder_is_refused_even_if_it_is_trusted(write, tmp_path, file):
    write(mine="from parts import value", parts="value = 7")
    folder, _ = kept(write, tmp_path)
    (folder / "code" / "0" / file).write_text("value = 8")
    for code in (Code(folder=folder), Code(trust=True, folder=folder)):
        with pytest.raises(UserError, match=rf"code/0/{file}: has changed: sha256 [0-9a-f]{{12}}…, recorded"):
            code.locate("mine.py:value")


def evil_copies(folder, stem):
    """Compiled copies of other code beside a file, which Python would read in its place."""
    (folder / "evil").mkdir()
    (folder / "evil" / f"{stem}.py").write_text("value = 'evil'")
    for place in (folder / "__pycache__" / f"{stem}.{sys.implementation.cache_tag}.pyc", folder / f"{stem}.pyc"):
        place.parent.mkdir(exist_ok=True)
        py_compile.compile(str(folder / "evil" / f"{stem}.py"), str(place),
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    (folder / f"{stem}{guests_extension()}").write_bytes(b"no library at all")
    shutil.rmtree(folder / "evil")


def guests_extension():
    from importlib.machinery import EXTENSION_SUFFIXES
    return EXTENSION_SUFFIXES[0]


@pytest.mark.parametrize("stem", ["mine", "parts"])
def test_compiled_copies_beside_known_code_are_never_run(write, tmp_path, stem):
    write(mine="from parts import value", parts="value = 7")
    folder, _ = kept(write, tmp_path)
    remember([OWN.locate("mine.py:value").source])
    guests._LOADED.clear()
    evil_copies(folder / "code" / "0", stem)
    assert got("mine.py:value", Code(folder=folder)) == 7


def test_files_that_were_not_recorded_are_not_imported(write, tmp_path):
    write({"package/__init__": ""}, mine="try:\n    from extra import value\nexcept ImportError:\n    value = 7\n"
          "try:\n    import package.more as more\nexcept ImportError:\n    more = 'none'\n")
    folder, _ = kept(write, tmp_path)
    remember([OWN.locate("mine.py:value").source, OWN.locate("mine.py:more").source])
    guests._LOADED.clear()
    (folder / "code" / "0" / "extra.py").write_text("value = 'evil'")
    (folder / "code" / "0" / "package" / "more.py").write_text("1 / 0")
    (folder / "code" / "0" / "mine").mkdir()
    (folder / "code" / "0" / "mine" / "__init__.py").write_text("1 / 0")
    assert got("mine.py:value", Code(folder=folder)) == 7 and got("mine.py:more", Code(folder=folder)) == "none"


def test_a_package_in_the_place_of_a_known_neighbour_is_not_imported(write, tmp_path):
    write(mine="from parts import value", parts="value = 7")
    folder, _ = kept(write, tmp_path)
    remember([OWN.locate("mine.py:value").source])
    guests._LOADED.clear()
    (folder / "code" / "0" / "parts").mkdir()
    (folder / "code" / "0" / "parts" / "__init__.py").write_text("value = 'evil'")
    with pytest.raises(UserError, match="is not among the files that ran before"):
        got("mine.py:value", Code(folder=folder))


@pytest.mark.parametrize("damage", [
    lambda record: record["mine.py"].update(folder=".."), lambda record: record["mine.py"].update(main="/etc/passwd"),
    lambda record: record["mine.py"]["files"].update({"../other.py": "0"}),
    lambda record: record.update({"mine.py": 3}), lambda record: record["mine.py"].pop("files"),
    lambda record: record["mine.py"].update(files={}),
])
def test_a_damaged_record_is_one_line(write, tmp_path, damage):
    write(mine="value = 7")
    folder, _ = kept(write, tmp_path)
    record = read_sources(folder)
    damage(record)
    write_json(folder / "code" / "sources.json", record)
    with pytest.raises(UserError, match="sources.json: is damaged: "):
        Code(trust=True, folder=folder).locate("mine.py:value")


def test_copies_are_of_what_ran_also_where_it_was_edited_since(write):
    write(mine="value = 7")
    source = OWN.locate("mine.py").source
    source.load()
    write(mine="value = 8")
    _, files = copies_of([source])
    assert files == {"0/mine.py": b"value = 7"}
    (write() / "mine.py").unlink()
    assert copies_of([source])[1] == files


def test_a_cache_that_cannot_be_written_or_read_trusts_nothing_but_this_process(write, tmp_path, own_home):
    write(mine="value = 7")
    folder, _ = kept(write, tmp_path)
    store = guests._store()
    store.parent.mkdir(parents=True)
    other = json.dumps([{"main": "mine.py", "name": "value", "files": {"mine.py": "0"}}])
    for content in ("[", "3", '[{"main": 3}]', other, "[" * 50_000):
        store.write_text(content)
        with pytest.raises(UntrustedCode):
            got("mine.py:value", Code(folder=folder))
    store.unlink()
    shutil.rmtree(store.parent)
    store.parent.write_text("in the way")
    source = OWN.locate("mine.py:value").source
    source.load()
    remember([source])
    assert got("mine.py:value", Code(folder=folder)) == 7


def test_files_stay_where_they_are(write):
    write(mine="value = 7")
    got("mine.py:value")
    assert [path.name for path in Path.cwd().iterdir()] == ["mine.py"]
