"""What is said of paths before there is anything to write."""

import os
from pathlib import Path

import pytest

from bneck.errors import BneckError, UsageError
from bneck.path_checks import check_beside, check_new_file, check_new_folder


def test_where_no_folder_can_be_is_said_before_there_is_anything_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to(tmp_path)
    for place in ("file", "loop", "gone"):
        for name in (place, f"{place}/below", f"{place}/far/below"):
            with pytest.raises(UsageError, match=f"{place} is a (file, not a folder|link that)"):
                check_new_folder(tmp_path / name)
    for name in ("new", "new/below", "linked", "linked/new"):
        check_new_folder(tmp_path / name)
    check_new_file(tmp_path / "gone")  # the link is replaced, as any file is
    assert {path.name for path in tmp_path.iterdir()} == {"file", "loop", "gone", "linked"}


def test_a_file_takes_the_place_of_no_device() -> None:
    """Renamed over /dev/null by root, it would take it from all programs."""
    with pytest.raises(UsageError, match=r"^/dev/null is no regular file: name another$"):
        check_new_file(Path("/dev/null"))


def test_a_file_of_anothers_is_not_replaced_by_what_is_written_beside_one(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").touch()
    with pytest.raises(UsageError, match=r"net\.safetensors would be replaced: name another file"):
        check_beside(tmp_path / "net.py", ".safetensors")
    check_beside(tmp_path / "other.py", ".safetensors")
    (tmp_path / "net.py").touch()  # both are of an earlier export
    check_beside(tmp_path / "net.py", ".safetensors")
    (tmp_path / "net.safetensors").unlink()
    (tmp_path / "net.safetensors").mkdir()
    with pytest.raises(UsageError, match=r"net\.safetensors is a folder: name a file"):
        check_beside(tmp_path / "net.py", ".safetensors")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(BneckError, match=r"^/.* is not writable"):
        check_new_file(tmp_path / "new" / "x.onnx")
