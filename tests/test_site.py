"""The documentation's site: its reference is whole, its checks find what is wrong, its notebooks get their outputs."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from hyperevo.components import component_names, find_component
from hyperevo.config import RunConfig, RunSettings

SITE = Path(__file__).parent.parent / "docs" / "site"

pytestmark = pytest.mark.skipif(not SITE.is_dir(), reason="a source distribution has no docs")


def module(name, monkeypatch):
    specification = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    own = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, name, own)
    specification.loader.exec_module(own)
    return own


def test_the_reference_has_every_setting_of_every_part_with_its_meaning(tmp_path, monkeypatch):
    reference = module("reference", monkeypatch)
    reference.write_reference(tmp_path)
    for kind, (file, _) in reference.KINDS.items():
        text = (tmp_path / f"{file}.md").read_text("utf-8")
        for name in component_names(kind):
            fields = find_component(kind, name).settings.model_fields
            assert f"## `{name}`" in text
            for key, info in fields.items():
                assert key == "name" or info.description, f"{kind}.{name}.{key} has no docstring"
                assert key == "name" or f"`{kind}.{key}`" in text
    text = (tmp_path / "run.md").read_text("utf-8")
    assert all(f"`run.{key}`" in text for key in RunSettings.model_fields)
    assert all(f"`{key}`" in text for key in RunConfig.model_fields if key not in (*reference.KINDS, "run"))
    assert "`run.rounds`\n: *integer, at least 1, below 2,147,483,648; default `100`*" in text


def test_stars_and_brackets_are_shown_as_they_are(monkeypatch):
    assert module("reference", monkeypatch).escaped("`*.bias` and *.weight [a]") == r"`*.bias` and \*.weight \[a]"


@pytest.fixture
def html(tmp_path):
    """A site of three pages in a row, an example with its picture, and its notebook."""
    (tmp_path / "gallery").mkdir()
    (tmp_path / "_downloads").mkdir()
    (tmp_path / "index.html").write_text("<a href='two.html#part'>two</a><a href='gallery/one.html'>one</a>")
    (tmp_path / "two.html").write_text("<h1 id='part'>2</h1><a href='three.html'>3</a><a href='https://x.org'>x</a>")
    (tmp_path / "three.html").write_text("<p>3</p>")
    (tmp_path / "gallery" / "one.html").write_text("<img src='sphx_glr_one_001.png'>")
    (tmp_path / "gallery" / "sphx_glr_one_001.png").write_bytes(b"")
    cell = {"cell_type": "code", "source": ["1"], "outputs": [{"output_type": "stream"}]}
    (tmp_path / "_downloads" / "one.ipynb").write_text(json.dumps({"cells": [cell]}))
    return tmp_path


def test_a_whole_site_has_no_problems(html, monkeypatch):
    assert module("check", monkeypatch).problems(html) == []


@pytest.mark.parametrize(("file", "content", "problem"), [
    ("two.html", "<h1 id='part'>2</h1><a href='four.html'>4</a><a href='three.html'>3</a>", "four.html leads nowhere"),
    ("two.html", "<h1 id='other'>2</h1><a href='three.html'>3</a>", "two.html#part leads nowhere"),
    ("two.html", "<h1 id='part'>2</h1>", "three.html: more than 2 clicks"),
    ("gallery/one.html", "<p>none</p>", "one.html: has no picture"),
    ("_downloads/one.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": ["2"], "outputs": []}]}),
     "no output of: '2'")])
def test_what_is_wrong_with_a_site_is_found(html, monkeypatch, file, content, problem):
    (html / file).write_text(content)
    assert any(problem in line for line in module("check", monkeypatch).problems(html))


def test_twelve_programs_each_with_a_title_and_two_cells_or_more():
    programs = {path.stem: path.read_text("utf-8") for path in (SITE / "gallery").glob("*.py")}
    assert len(programs) == 12
    for text in programs.values():
        assert text.startswith('"""\n') and text.count("\n# %%\n") >= 2 and "print(" in text


def test_notebooks_get_the_outputs_of_their_page(tmp_path, monkeypatch):
    pytest.importorskip("sphinx_gallery")
    notebooks = module("notebooks", monkeypatch)
    (tmp_path / "gallery" / "images").mkdir(parents=True)
    (tmp_path / "gallery" / "images" / "a.png").write_bytes(b"picture")
    page = """Title

.. code-block:: Python

    print('a')

.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    a


.. code-block:: Python

    figure

.. image-sg:: /gallery/images/a.png
   :alt: a
"""
    (tmp_path / "gallery" / "one.rst").write_text(page)
    cells = [{"cell_type": "markdown"}, *({"cell_type": "code", "outputs": []} for _ in range(2))]
    (tmp_path / "gallery" / "one.ipynb").write_text(json.dumps({"cells": cells}))
    notebooks.fill_notebooks(tmp_path / "gallery")
    _, first, second = json.loads((tmp_path / "gallery" / "one.ipynb").read_text())["cells"]
    assert first["outputs"] == [{"name": "stdout", "output_type": "stream", "text": "a"}]
    assert second["outputs"][0]["data"] == {"image/png": "cGljdHVyZQ=="} and second["execution_count"] == 2
