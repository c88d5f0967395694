"""The words for images, and the sets that are downloaded."""

import hashlib
import io
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import utils

from bneck.errors import BneckError, UsageError
from bneck.proxies.data import loading
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.data.image_spec import NAMED_SETS
from bneck.proxies.data.loading import DATA_SETS, load
from tests.proxies.data.pictures import noise


@pytest.mark.parametrize("spec", ["imagenet", "", "folder:", "digits:x", "npz"])
def test_unknown_data_lists_what_is_known(spec: str) -> None:
    with pytest.raises(UsageError, match=r"digits, fashion-mnist, cifar10, folder:DIR, npz:FILE"):
        load(spec)


@pytest.mark.parametrize("side", [0, -1, 7, 10**9])
def test_absurd_resolutions(side: int) -> None:
    with pytest.raises(UsageError, match="resolution must be a whole number from 8 to 2048"):
        load("digits", resolution_px=side)


def test_arrays_that_will_not_do_are_refused() -> None:
    def refuse(info: ImageInfo) -> None:
        raise UsageError(f"{info.classes} classes at {info.resolution_px} px")

    with pytest.raises(UsageError, match=r"^10 classes at 32 px$"):
        load("digits", accept=refuse)


@pytest.mark.parametrize("spec", ["cifar10", "fashion-mnist"])
def test_a_download_that_fails_is_one_line(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service\nnot known")

    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(BneckError, match=f"cannot download {spec} .*not known") as caught:
        load(spec)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_whoever_wants_a_download_that_is_under_way_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would write the same file, and each find it corrupted."""
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    entered = threading.Event()

    def download() -> None:
        with loading._downloading("cifar10"):
            entered.set()

    other = threading.Thread(target=download)
    with loading._downloading("cifar10"):
        other.start()
        assert not entered.wait(0.5)
    other.join()
    assert entered.is_set()


def test_cifar10_is_read_from_the_binary_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    rows = {name: noise(4, 3073) for name in names}
    for number, batch in enumerate(rows.values()):
        batch[:, 0] = number % 2
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        content = {name: batch.tobytes() for name, batch in rows.items()}
        for name, data_ in {**content, "batches.meta.txt": b"cat\ndog\n\n"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data_)
            archive.addfile(member, io.BytesIO(data_))
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "_CIFAR_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr(utils, "_urlretrieve", None)
    images = load("cifar10")
    assert images.info.class_names == ("cat", "dog")
    assert images.train.labels.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4
    expected = rows["data_batch_2.bin"][1, 1:].reshape(3, 32, 32)
    assert np.array_equal(images.train.pixels()[5].numpy(), expected)
    assert len(images.val.labels) == 4


def test_the_words_that_are_checked_are_those_that_are_read() -> None:
    assert tuple(DATA_SETS) == NAMED_SETS
