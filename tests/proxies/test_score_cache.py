from contextlib import suppress
from pathlib import Path

import pytest

from bneck.proxies.score_cache import Kept
from bneck.space import presets

ARCH, OTHER = presets.build("mobilenet_v3_small"), presets.build("mobilenet_v3_large")


def test_rows_outlive_an_interruption_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    with suppress(KeyboardInterrupt), Kept("asked") as kept:
        kept.put(ARCH, {"zen": [1.5, 0.1, None]})
        raise KeyboardInterrupt
    (file,) = (tmp_path / "scores").iterdir()
    file.write_text(file.read_text() + '\n["cut off')
    with Kept("asked") as kept:
        assert kept.get(ARCH) == {"zen": [1.5, 0.1, None]}
        assert kept.get(OTHER) is None
        assert Kept("something else").get(ARCH) is None
        kept.put(OTHER, {})
        assert Kept("asked").get(OTHER) == {}
    assert list((tmp_path / "scores").iterdir()) == []
