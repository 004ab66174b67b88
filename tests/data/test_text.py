"""Texts become symbol numbers and back; what cannot be read is one line that names the file and the place."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperevo import terminal
from hyperevo.data import (
    DataMissing,
    TextData,
    enwik8,
    fetch,
    load_images,
    load_text,
    ptb,
    read_text_file,
    verify,
)
from hyperevo.data._text import alphabet_of, cut, decode, encode
from hyperevo.errors import UserError

ALL_BYTES = tuple(bytes([value]) for value in range(256))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def one_line(caught):
    return "\n" not in str(caught.value)


# Symbols


@given(st.text(min_size=1))
def test_decode_undoes_encode(text):
    alphabet = alphabet_of(text)
    numbers = encode(text, alphabet, "here")
    assert len(numbers) == len(text) and numbers.max() == len(alphabet) - 1
    assert "".join(alphabet[number] for number in numbers) == decode(numbers, alphabet) == text


@given(st.text(min_size=1))
def test_decode_undoes_encode_in_bytes(text):
    numbers = encode(text, ALL_BYTES, "here")
    assert bytes(numbers) == text.encode() and decode(numbers, ALL_BYTES) == text


def test_symbols_are_numbered_in_the_order_of_the_alphabet_given():
    assert encode("abca", ("c", "b", "a"), "here").tolist() == [2, 1, 0, 2]
    assert decode(np.array([0, 1, 2], np.uint16), ("c", "b", "a")) == "cba"
    assert encode("", ("a",), "here").shape == (0,) and decode(np.array([], np.uint8), ("a",)) == ""


def test_numbers_take_two_bytes_only_where_there_are_more_than_256():
    symbols = tuple(map(chr, range(257)))
    assert encode("ab", symbols[:256], "here").dtype == np.uint8
    numbers = encode("".join(symbols), symbols, "here")
    assert numbers.dtype == np.uint16 and numbers.tolist() == list(range(257))


@pytest.mark.parametrize(("text", "alphabet", "place"), [
    ("a?", ("a",), r"line 1, character 2: '\?' is not in the alphabet of 1 symbols"),
    ("ab\n\nbäa", ("a", "b", "\n"), "line 3, character 2: 'ä' is not in the alphabet of 3 symbols"),
    ("a\n", ("a",), r"line 1, character 2: '\\n' is not"),
    ("a\U0001f600", ("a",), "line 1, character 2: '\U0001f600' is not"),
    ("a\nxé", (b"a", b"x", b"\n"), r"line 2, byte 2: b'\\xc3' is not"),
])
def test_an_unseen_symbol_is_named_with_its_place(text, alphabet, place):
    with pytest.raises(UserError, match=f"^prompt.txt: {place}") as caught:
        encode(text, alphabet, "prompt.txt")
    assert one_line(caught)


@given(st.text(min_size=1), st.integers(1, 5))
def test_a_text_is_numbered_piece_by_piece_as_in_one(text, piece):
    with pytest.MonkeyPatch.context() as patch:
        whole, in_bytes = encode(text, alphabet_of(text), "here"), encode(text, ALL_BYTES, "here")
        patch.setattr("hyperevo.data._text.PIECE", piece)
        assert encode(text, alphabet_of(text), "here").tolist() == whole.tolist()
        assert encode(text, ALL_BYTES, "here").tolist() == in_bytes.tolist()


@pytest.mark.parametrize("piece", [1, 2, 3, 4])
def test_an_unseen_symbol_in_a_later_piece_has_its_place(piece, monkeypatch):
    monkeypatch.setattr("hyperevo.data._text.PIECE", piece)
    with pytest.raises(UserError, match="^here: line 2, character 3: 'ä' is not in the alphabet"):
        encode("ab\nabä", ("\n", "a", "b"), "here")
    with pytest.raises(UserError, match=r"^here: line 2, byte 3: b'\\xc3' is not in the alphabet"):
        encode("ab\nabä", (b"\n", b"a", b"b"), "here")


@given(st.integers(10, 10**9), st.floats(0.1, 0.4), st.floats(0.1, 0.4))
def test_a_cut_takes_all_in_order(count, validation_share, test_share):
    train, validation, test = cut(count, validation_share, test_share, 1, "it")
    assert (train.start, train.stop, validation.stop, test.stop) == (0, validation.start, test.start, count)
    assert abs(validation.stop - validation.start - count * validation_share) <= 0.5
    assert abs(test.stop - test.start - count * test_share) <= 0.5


# A user's own file


def test_a_users_file(tmp_path):
    text = "größe\r\n" * 20
    (tmp_path / "own words.txt").write_bytes(text.encode())
    data = read_text_file(tmp_path / "own words.txt", 0.2, 0.1)
    assert data.name == "own words.txt" and data.checksum == sha256(text.encode())
    assert data.alphabet == ("\n", "\r", "e", "g", "r", "ß", "ö")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [98, 28, 14]
    assert decode(np.concatenate([data.train, data.validation, data.test]), data.alphabet) == text


def test_a_byte_order_mark_is_no_character(tmp_path):
    (tmp_path / "marked.txt").write_text("ab" * 40, "utf-8-sig")
    data = read_text_file(str(tmp_path / "marked.txt"))
    assert data.alphabet == ("a", "b") and len(data.train) == 72


@pytest.mark.parametrize(("content", "problem"), [
    (b"", "is empty"),
    (b"\xef\xbb\xbf", "is empty"),
    (b"abc" * 9 + b"\xff" + b"abc", "is not UTF-8: byte 28 is 0xff"),
    ("abc".encode("utf-16") * 20, "is not UTF-8: byte 1 is 0xff"),
    (b"abc", "3 characters are too few: 3 for training, 0 for validation and 0 for the test, at least 2"),
    (b"a" * 29, "29 characters are too few: 27 for training, 1 for validation and 1 for the test"),
])
def test_what_is_no_text_is_one_line_that_names_the_file(tmp_path, content, problem):
    (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(UserError, match=f"own.txt: {problem}") as caught:
        read_text_file(tmp_path / "own.txt")
    assert one_line(caught)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone.txt: cannot be read: No such file"):
        read_text_file(tmp_path / "gone.txt")
    with pytest.raises(UserError, match=f"{tmp_path.name}: cannot be read: Is a directory"):
        read_text_file(tmp_path)


@pytest.mark.parametrize("shares", [(0, 0.1), (0.1, 0), (0.5, 0.5), (-0.1, 0.3), (float("nan"), 0.1)])
def test_shares_out_of_range_are_named(tmp_path, shares):
    (tmp_path / "own.txt").write_text("ab" * 100)
    with pytest.raises(UserError, match=f"own.txt: 200 characters: shares of {shares[0]} for validation") as caught:
        read_text_file(tmp_path / "own.txt", *shares)
    assert one_line(caught)


def test_more_characters_than_numbers_are_an_error(tmp_path):
    (tmp_path / "own.txt").write_text("".join(map(chr, range(0x10000, 0x20001))), "utf-8")
    with pytest.raises(UserError, match="own.txt: has 65,537 different characters, at most 65,536"):
        read_text_file(tmp_path / "own.txt")


# Penn Treebank


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder."""
    monkeypatch.setenv("HYPEREVO_DATA", str(tmp_path))
    return tmp_path


def test_penn_treebank_files_become_sentences(folder, monkeypatch):
    contents = {"ptb.char.train.txt": b" a _ N $\n a b b _ a\n", "ptb.char.valid.txt": b" b _ < u n k >\n",
                "ptb.char.test.txt": b" a\n \n b"}
    (folder / "ptb").mkdir()
    for file, content in contents.items():
        (folder / "ptb" / file).write_bytes(content)
    monkeypatch.setattr(ptb, "FILES", {file: sha256(content) for file, content in contents.items()})
    data = load_text("ptb")
    assert decode(data.train, data.alphabet) == "a N$\nabb a\n"
    assert decode(data.validation, data.alphabet) == "b <unk>\n" and decode(data.test, data.alphabet) == "a\nb\n"
    assert "".join(data.alphabet) == "\n $<>Nabknu"
    (folder / "ptb" / "ptb.char.valid.txt").write_bytes(b" b _ <")
    with pytest.raises(UserError, match=r"ptb.char.valid.txt: is damaged"):
        load_text("ptb")


def test_files_that_cannot_be_downloaded_are_to_be_placed_by_hand(own_home, capsys):
    places = rf"place it \(.*simple-examples.tgz\) in {own_home}/.cache/hyperevo/data/ptb or in HYPEREVO_DATA/ptb"
    for attempt in (lambda: load_text("ptb"), lambda: fetch("ptb"), lambda: fetch("ptb", force=True)):
        with pytest.raises(DataMissing, match=rf"^ptb: ptb.char.train.txt is not on .*{places}$") as caught:
            attempt()
        assert one_line(caught)
    assert not (own_home / ".cache").exists()
    terminal.print_datasets(as_json=False)
    states = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert states["ptb"].endswith("to be placed by hand, as this says: hyperevo data fetch ptb")
    assert states["enwik8"].endswith("not here; fetched when it is needed")
    assert states["tinyshakespeare"].startswith("tinyshakespeare  Tiny Shakespeare,")


def test_force_keeps_files_that_cannot_be_downloaded(own_home, monkeypatch):
    cache = own_home / ".cache" / "hyperevo" / "data" / "ptb"
    cache.mkdir(parents=True)
    for file in ptb.FILES:
        (cache / file).write_bytes(b" a\n")
    monkeypatch.setattr(ptb, "FILES", dict.fromkeys(ptb.FILES, sha256(b" a\n")))
    fetch("ptb", force=True)
    assert all((cache / file).exists() for file in ptb.FILES)


def test_a_data_set_of_another_kind_is_an_error():
    with pytest.raises(UserError, match="'mnist' holds images, not text; allowed: enwik8, ptb, tinyshakespeare"):
        load_text("mnist")
    with pytest.raises(UserError, match="'ptb' holds text, not images; allowed: cifar10, digits, fashion, mnist"):
        load_images("ptb")


# enwik8

WHOLE = bytes(np.random.default_rng(0).integers(60, 90, 4000, np.uint8))
FIRST = WHOLE[:1000]


def archive(content):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("enwik8", content)
    return packed.getvalue()


@pytest.fixture
def made_up(folder, monkeypatch):
    """An empty folder, and made-up bytes in place of the published ones."""
    monkeypatch.setattr(enwik8, "FILES", {enwik8.ARCHIVE: sha256(archive(WHOLE))})
    monkeypatch.setattr(enwik8, "LENGTH", len(WHOLE))
    monkeypatch.setattr(enwik8, "SHA256", sha256(WHOLE))
    monkeypatch.setattr(enwik8, "FIRST_SHA256", sha256(FIRST))
    (folder / "enwik8").mkdir()
    return folder / "enwik8"


def spelt(data: TextData):
    return b"".join(data.alphabet[number] for part in (data.train, data.validation, data.test) for number in part)


def test_archive_and_unpacked_file_are_the_same_text(made_up):
    (made_up / "enwik8.zip").write_bytes(archive(WHOLE))
    archived = load_text("enwik8")
    (made_up / "enwik8").write_bytes(WHOLE)
    assert [file.name for file in verify("enwik8")] == ["enwik8"]
    unpacked = load_text("enwik8")
    for data in (archived, unpacked):
        assert data.name == "enwik8" and spelt(data) == WHOLE and data.checksum == sha256(WHOLE)
        assert [len(part) for part in (data.train, data.validation, data.test)] == [3600, 200, 200]
        assert data.alphabet == tuple(bytes([value]) for value in range(60, 90)) and data.train.dtype == np.uint8
    assert unpacked.train.flags.writeable and archived.train.flags.writeable


def test_the_first_bytes_alone_are_named_so_and_give_way_to_the_archive(made_up, capsys):
    (made_up / "enwik8").write_bytes(FIRST)
    data = load_text("enwik8")
    assert data.name == "enwik8 (first 1,000 bytes)" and spelt(data) == FIRST
    assert [len(part) for part in (data.train, data.validation, data.test)] == [900, 50, 50]
    assert [(file.name, file.problem) for file in verify("enwik8")] == [("enwik8", None)]
    terminal.print_datasets(as_json=True)
    titles = {row["name"]: row["title"] for row in json.loads(capsys.readouterr().out)}
    assert titles["enwik8"] == "enwik8, the first 4,000,000 of 100,000,000 bytes of Wikipedia of March 2006"
    (made_up / "enwik8.zip").write_bytes(archive(WHOLE))
    assert load_text("enwik8").name == "enwik8" and not enwik8.TITLE.startswith("enwik8, the first")


@pytest.mark.parametrize("content", [b"", FIRST[:-1], FIRST[::-1], WHOLE[::-1], FIRST + b"x"])
def test_a_damaged_text_is_an_error_that_names_it(made_up, content):
    (made_up / "enwik8").write_bytes(content)
    with pytest.raises(UserError, match=r"enwik8/enwik8: is damaged or not the published file") as caught:
        load_text("enwik8")
    assert one_line(caught)


def test_other_attributes_are_missing_as_usual():
    with pytest.raises(AttributeError, match="'hyperevo.data.enwik8' has no attribute 'nonsense'"):
        _ = enwik8.nonsense


# The published files


def test_the_published_penn_treebank(real_data):
    data = load_text("ptb")
    assert (len(data.train), len(data.validation), len(data.test)) == (5_017_482, 393_042, 442_423)
    assert "".join(data.alphabet) == "\n #$&'*-./0123456789<>N\\abcdefghijklmnopqrstuvwxyz" and len(data.alphabet) == 50
    assert [(part == 0).sum() for part in (data.train, data.validation, data.test)] == [42_068, 3_370, 3_761]
    for part, file in ((data.train, "train"), (data.validation, "valid"), (data.test, "test")):
        content = (real_data / "ptb" / f"ptb.char.{file}.txt").read_text()
        assert decode(part, data.alphabet) == content.replace(" ", "").replace("_", " ")
    assert all(file.problem is None for file in verify("ptb"))


def test_the_published_tiny_shakespeare(real_data):
    data = load_text("tinyshakespeare")
    assert (len(data.train), len(data.validation), len(data.test)) == (1_003_854, 55_770, 55_770)
    assert data.name == "tinyshakespeare" and len(data.alphabet) == 65
    text = (real_data / "tinyshakespeare" / "input.txt").read_text()
    assert decode(np.concatenate([data.train, data.validation, data.test]), data.alphabet) == text


def test_the_published_enwik8_or_its_first_bytes(real_data):
    data = load_text("enwik8")
    sizes = (len(data.train), len(data.validation), len(data.test))
    assert (data.name, len(data.alphabet), *sizes) in [
        ("enwik8", 205, 90_000_000, 5_000_000, 5_000_000),
        ("enwik8 (first 4,000,000 bytes)", 200, 3_600_000, 200_000, 200_000)]
    assert decode(data.train[:1000], data.alphabet).startswith('<mediawiki xmlns="http://www.mediawiki.org/xml/')
    assert all(file.problem is None for file in verify("enwik8"))
