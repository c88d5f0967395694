"""Each test of squares has a cache of its own."""

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path_factory.mktemp("cache")))
