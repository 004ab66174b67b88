"""Files of others are read up to a size; messages stay on one line and short."""

import sys

import pytest

from hyperevo.errors import SHOWN, UserError, one_line, shortened, shown, shown_path
from hyperevo.reading import as_json, as_text, is_there, read_bytes, read_text


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(UserError, match=r"file: is too large: 5 bytes, where at most 4 are read"):
        read_bytes(tmp_path / "file", 4)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_file_without_a_size_is_read_up_to_its_limit():
    """The system says 0 bytes of its own files, and their end comes when it comes."""
    with pytest.raises(UserError, match=r"/proc/cpuinfo: is too large: 11 bytes, where at most 10 are read"):
        read_bytes("/proc/cpuinfo", 10)


def test_text_is_utf_8_without_its_mark(tmp_path):
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf\xef\xbb\xbfa")
    assert read_text(tmp_path / "file", 9) == "\ufeffa"
    for content, place in ((b"ab\xff", "byte 3 is 0xff$"), ("a".encode("utf-16"), "byte 1 is 0xff, as in UTF-16$")):
        with pytest.raises(UserError, match=f"here: is not UTF-8: {place}"):
            as_text(content, "here")


def test_broken_links_are_there(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "file").touch()
    assert is_there(tmp_path / "link") and is_there(tmp_path / "file")
    assert not any(map(is_there, (tmp_path / "gone", tmp_path / "file" / "x", "\0", "\ud800", "")))
    with pytest.raises(UserError, match="…x+: cannot be read: File name too long"):
        is_there("x" * 9999)


@pytest.mark.parametrize(("text", "line"), [
    ("one line", "one line"), ("  a\r\n\n  b\t\n", "a b"), ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
    ("a\tb", r"a\tb"), ("\ud800", r"\ud800"), ("\u202eabc", r"\u202eabc"), ("8 × 8, größer …", "8 × 8, größer …"),
])
def test_an_error_is_one_line_that_prints(text, line):
    assert one_line(text) == str(UserError(text)) == line


@pytest.mark.parametrize(("value", "text"), [
    ("x", "'x'"), ("a\n'", '"a\\n\'"'), (True, "true"), (3, "3"), (float("inf"), "inf"), (1e-7, "1e-07"),
    ([1, (False, "a")], "[1, [false, 'a']]"), ({"a": {"b": []}}, "{a = {b = []}}"),
    (-(2**999), "an integer of 1,000 bits"),
])
def test_a_value_is_shown_as_a_config_spells_it(value, text):
    assert shown(value) == text


def test_long_values_are_cut():
    assert shown("x" * 10_000) == "'" + "x" * (SHOWN - 2) + "…" and len(shown(list(range(10_000)))) == SHOWN
    assert shortened("x" * SHOWN) == "x" * SHOWN and shortened("x" * 201) == "x" * 199 + "…"
    assert shown_path("/tmp/" + "x" * 1000 + "/file.txt").startswith("…xx")
    assert shown_path("/tmp/" + "x" * 1000 + "/file.txt").endswith("x/file.txt")


@pytest.mark.parametrize("content", [b"", b"{", b"[NaN]", b'["\\ud800"]', b'{"\\uDFFF": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_one_line_that_names_the_file(content):
    with pytest.raises(UserError, match=r"^mine.json: is (cut short or )?damaged: [^\n]+$"):
        as_json(content, "mine.json")


def test_characters_beyond_the_first_plane_are_whole_in_json():
    assert as_json(b'["\\ud83d\\ude00", "\\\\ud800"]', "mine.json") == ["\U0001f600", "\\ud800"]
