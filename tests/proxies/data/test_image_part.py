"""Parts of a set of images, and where they are kept at another side."""

from pathlib import Path

import pytest
import torch

from bneck.proxies.data.image_part import ImagePart
from tests.unseen import read_only


def test_a_read_only_cache_keeps_no_smaller_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are held in memory, so that what trains at a smaller side works there too."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    cache, rows = Path("cache"), torch.arange(4)
    cache.mkdir()
    squares = torch.randint(256, (4, 3, 16, 16), generator=torch.manual_seed(0)).to(torch.uint8)
    part = ImagePart(squares, rows, labels=rows, contents=rows, store=cache)
    with read_only(cache):
        in_memory = part.resized(8)
        assert in_memory.pixels().shape == (4, 3, 8, 8)
    assert [*cache.iterdir()] == []
    assert torch.equal(part.resized(8).pixels(), in_memory.pixels())
    (file,) = cache.glob("*.u8")
    assert file.stat().st_size == 4 * 3 * 8 * 8
    with read_only(cache):  # where one is kept, it is used
        assert torch.equal(part.resized(8).pixels(), in_memory.pixels())
