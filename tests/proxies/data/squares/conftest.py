"""A cache of its own for each test of squares, and a folder of pictures."""

from pathlib import Path

import pytest

from tests.proxies.data.pictures import draw


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw(tmp_path, "a", "b", count=40, side=16)
    return tmp_path
