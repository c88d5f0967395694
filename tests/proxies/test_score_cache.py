"""Scores that outlive an interruption."""

from contextlib import suppress
from pathlib import Path

import pytest

from bneck.proxies.score_cache import ScoreCache
from bneck.space import presets

ARCH, OTHER = presets.build("mobilenet_v3_small"), presets.build("mobilenet_v3_large")


def test_rows_outlive_an_interruption_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    with suppress(KeyboardInterrupt), ScoreCache("asked") as cache:
        cache.put(ARCH, {"zen": [1.5, 0.1, None]})
        raise KeyboardInterrupt
    (file,) = (tmp_path / "scores").iterdir()
    file.write_text(file.read_text() + '\n["cut off')
    with ScoreCache("asked") as cache:
        assert cache.get(ARCH) == {"zen": [1.5, 0.1, None]}
        assert cache.get(OTHER) is None
        assert ScoreCache("something else").get(ARCH) is None
        cache.put(OTHER, {})
        assert ScoreCache("asked").get(OTHER) == {}
    assert list((tmp_path / "scores").iterdir()) == []


def test_a_folder_that_cannot_be_used_costs_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    (tmp_path / "scores").write_text("a file where a folder should be")
    with ScoreCache("asked") as cache:
        cache.put(ARCH, {"zen": [1.5, 0.1, None]})
        assert cache.get(ARCH) == {"zen": [1.5, 0.1, None]}


def test_rows_that_cannot_be_read_are_scored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    ScoreCache("asked").put(ARCH, {})
    (file,) = (tmp_path / "scores").iterdir()
    file.unlink()
    file.mkdir()
    with ScoreCache("asked") as cache:
        assert cache.get(ARCH) is None


@pytest.mark.parametrize("line", ["[[1], 2]", "[{}, 2]", "3", "[" * 100_000])
def test_a_line_that_makes_no_sense_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    ScoreCache("asked").put(ARCH, {})
    (file,) = (tmp_path / "scores").iterdir()
    file.write_text(f"{line}\n{file.read_text()}")
    assert ScoreCache("asked").get(ARCH) == {}
