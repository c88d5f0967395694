"""`bneck images`: squares are prepared, listed, verified and removed."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from bneck.cli import run
from tests.command_line import json_of
from tests.proxies.data.pictures import draw


def test_squares_are_prepared_listed_verified_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, "a", "b", count=6)
    made = json_of(capsys, "images", tmp_path, "--resolution", 32)
    assert made["classes"] == {"a": {"train": 6}, "b": {"train": 6}}
    assert made["bytes"] == 12 * 3 * 32**2
    assert str(tmp_path) in [one["folder"] for one in json_of(capsys, "images")["sets"]]
    assert json_of(capsys, "images", tmp_path, "--resolution", 32, "--verify")["verified"]

    file = tmp_path / "a" / "3.png"
    before = file.stat()
    Image.new("RGB", (32, 32)).save(file)
    file.write_bytes(file.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # neither size nor time tells
    assert run(["images", str(tmp_path), "--resolution", "32", "--verify"]) == 1
    said = capsys.readouterr()
    assert "1 of 12 files is not what was decoded: a/3.png" in said.err
    assert said.out == "a/3.png\n"
    prefixed = json_of(capsys, "images", f"folder:{tmp_path}", "--resolution", 32)
    assert prefixed["squares"] == made["squares"]  # as --data takes it
    elsewhere = tmp_path / "a" / ".."  # the same folder, as from another working directory
    assert json_of(capsys, "images", elsewhere, "--remove")["removed"] == [made["squares"]]
    assert json_of(capsys, "images", tmp_path, "--remove")["removed"] == []


def test_all_files_that_are_no_images_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names three, as it does in every command that reads images."""
    draw(tmp_path, "a", "b", count=6)
    for number in range(4):
        (tmp_path / "a" / f"note{number}.png").write_text("no image")
    named = [f"a/note{number}.png (not an image)" for number in range(4)]
    words = ["images", str(tmp_path), "--resolution", "32"]
    assert run(words) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == named
    assert (
        f"{', '.join(named[:3])} and 1 more (`bneck images DIR --resolution 32` lists all); "
        in said.err
    )
    assert run([*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"unreadable_files": named}
    (tmp_path / "b" / "two\nlines.png").write_text("no image")
    assert run(words) == 2
    assert capsys.readouterr().out.splitlines() == [*named, "b/two lines.png (not an image)"]
