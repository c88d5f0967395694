"""Ray Tune: poor trainings end early, and what is lost goes on from its checkpoint."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bneck.errors import ProxyFailed, UsageError
from bneck.executors import Failed, open_executor
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.search.evaluation import Evaluate
from bneck.space import presets


@dataclass(frozen=True)
class Climbing:
    """Accuracy grows to the item's tenth; item 9 loses its worker once, item 0 diverges."""

    folder: Path
    steps: int = 27

    def train(self, item: int, checkpoint: Path, report: Callable) -> float:
        step = int(checkpoint.read_text()) if checkpoint.exists() else 0
        (self.folder / f"{item}.from.{step}").touch()
        while step < self.steps:
            step += 1
            checkpoint.write_text(str(step))
            if item == 0:
                raise ProxyFailed("the loss is nan at step 1")
            if item == 9 and step == 14 and not (self.folder / "lost").exists():
                (self.folder / "lost").touch()
                os.kill(os.getpid(), 9)
            if step % 3 == 0 and step < self.steps:
                report(step, item / 10 * step / self.steps)
        return item / 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_asha_stops_the_poor_and_restores_the_lost(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    traces = tmp_path / "traces"
    traces.mkdir()
    items = [9, 8, 1, 2, 0]
    with closing(open_executor(1, ray="local", asha=tmp_path / "asha")) as executor:
        found = dict(executor.map_unordered(Climbing(traces), items))
    assert set(found) == set(items)
    assert found[9] == 0.9
    for poor in (1, 2):
        assert isinstance(found[poor], Failed)
        assert found[poor].reason.startswith("stopped by ASHA at step 3 of 27: accuracy 0.0")
    assert found[0] == Failed("ProxyFailed: the loss is nan at step 1")
    assert {path.name for path in traces.glob("9.from.*")} == {"9.from.0", "9.from.12"}


def test_a_staged_training_ends_as_an_unstaged_one(tmp_path: Path) -> None:
    task = Evaluate(WorkerImages("digits", 16, 16, 0, 64, 32), "short-training", Recipe(3, 16), 0)
    arch = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)
    reported: list[tuple[int, float]] = []
    accuracy = task.train(arch, tmp_path / "checkpoint", lambda *news: reported.append(news))
    assert accuracy == task(arch).accuracy
    assert [step for step, _ in reported] == [1, 2]
    assert (tmp_path / "checkpoint").exists()


def test_what_asha_cannot_do_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--asha needs --ray"):
        open_executor(asha=tmp_path)
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="--asha and --time-limit do not go together"):
        open_executor(ray="local", asha=tmp_path, time_limit_s=5)
