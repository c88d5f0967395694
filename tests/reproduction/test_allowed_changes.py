"""A reproduction's folder under another plan."""

from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.reproduction.allowed_changes import change_plan, check_change
from bneck.reproduction.plan import ReproductionPlan
from bneck.results.run import Run

SHORT = ReproductionPlan(data="digits", epochs=15.0)


def opened(folder: Path, plan: ReproductionPlan) -> None:
    Run.open(folder, plan.as_dict(), change=change_plan).close()


def test_longer_final_trainings_keep_what_was_searched(tmp_path: Path) -> None:
    opened(tmp_path, SHORT)
    kept = [tmp_path / "latency.json", tmp_path / "search-paper" / "winners.json"]
    trained = tmp_path / "checkpoints" / "derived-1x-seed0.json"
    for file in (*kept, trained):
        file.parent.mkdir(exist_ok=True)
        file.write_text(file.name)
    opened(tmp_path, ReproductionPlan(data="digits", epochs=80.0, seeds=5))
    assert not trained.exists()
    moved = tmp_path / "superseded" / "1" / "checkpoints" / trained.name
    assert moved.read_text() == trained.name
    assert [file.read_text() for file in kept] == [file.name for file in kept]


def test_more_seeds_keep_the_trainings(tmp_path: Path) -> None:
    opened(tmp_path, SHORT)
    trained = tmp_path / "checkpoints" / "derived-1x-seed0.json"
    trained.parent.mkdir()
    trained.write_text("{}")
    opened(tmp_path, ReproductionPlan(data="digits", epochs=15.0, seeds=5, repeated="1.5,0.6"))
    assert trained.read_text() == "{}"


def test_a_moved_reproduction_resumes_its_stages(tmp_path: Path) -> None:
    """Their plans name its latency model and seed networks by where they were."""
    for place in ("here", "moved"):
        plan = SHORT.part(latency=f"{place}/latency.json", seed_network=f"{place}/seed.json")
        Run.open(tmp_path, plan.as_dict(), change=check_change).close()
    assert Run.read(tmp_path).plan["latency"] == "moved/latency.json"


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        (SHORT, {"evaluations": 61}, "seeds, repeated, epochs, augmentation can be changed"),
        (ReproductionPlan(data="digits", promote=True), {"epochs": 80.0}, "only seeds, repeated "),
    ],
)
def test_what_the_search_depends_on_is_refused(
    was: ReproductionPlan, now: dict[str, float], words: str, tmp_path: Path
) -> None:
    opened(tmp_path, was)
    with pytest.raises(UsageError, match=words):
        opened(tmp_path, ReproductionPlan(**was.as_dict() | now))
