"""Files of a set that are torn, damaged or of another version are made again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bneck.errors import BneckError
from bneck.proxies.data.squares.store import all_squares
from tests.proxies.data.squares.loaded import loaded


@pytest.mark.parametrize("name", ["squares.u8", "labels.npy", "index.json"])
def test_a_torn_file_is_made_again(pictures: Path, name: str) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    os.truncate(one.place / name, 100)
    assert all_squares() == []
    assert loaded(pictures).info == before.info


def flipped(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 8
    file.write_bytes(content)


@pytest.mark.parametrize("place", [1, 6, 12, 20, 40])
@pytest.mark.parametrize("name", ["labels.npy", "digests.npy"])
def test_a_file_with_a_damaged_header_is_made_again(pictures: Path, name: str, place: int) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    flipped(one.place / name, place)
    assert all_squares() == []
    assert loaded(pictures).info == before.info


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_that_no_class_has_are_made_again(pictures: Path, label: int) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    labels = one.labels()
    labels[3] = label
    np.save(one.place / "labels.npy", labels)
    assert all_squares() == []
    assert loaded(pictures).info == before.info


@pytest.mark.parametrize(
    "change",
    [
        {"side_px": 1e308},
        {"side_px": "../.."},
        {"side_px": -16},
        {"parts": {"train": {"-1": "x"}}},
        {"parts": {"train": -80}},
        {"parts": {"other": 80}},
        {"parts": {}},
        {"class_names": "ab"},
        {"class_names": [["a"], "b"]},
        {"bad": {"80": "x"}},
        {"bad": {"-1": "x"}},
        {"bad": []},
        {"white": 3},
        {"white": {"16-bit": "x"}},
        {"flip": 1},
        {"note": []},
    ],
)
def test_an_index_that_makes_no_sense_is_made_again(
    pictures: Path, change: dict[str, object]
) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    index = one.place / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    assert all_squares() == []
    assert loaded(pictures).info == before.info


def test_names_of_other_files_are_said_to_be_damaged(pictures: Path) -> None:
    loaded(pictures)
    (one,) = all_squares()
    (one.place / "names.txt").write_bytes(b"")
    with pytest.raises(BneckError, match=r"names\.txt is damaged: remove .*, which is made again"):
        one.names()


def test_another_version_is_made_again(pictures: Path) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    index = one.place / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"version": 0}))
    assert loaded(pictures).info == before.info


@pytest.mark.parametrize("content", [b"", b"5", b"[[1, 2], [3]]", b'[["a", 1, 1], [1, 1, 1]]'])
def test_statistics_that_make_no_sense_are_counted_again(pictures: Path, content: bytes) -> None:
    info = loaded(pictures).info
    for file in all_squares()[0].place.glob("statistics-*.json"):
        file.write_bytes(content)
    assert loaded(pictures).info == info
