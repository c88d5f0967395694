"""Trainings by the driver itself, on real digits."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.netadapt_seed import seed_training
from bneck.derivation.stages.training import train_alone, training_stage
from bneck.derivation.training_budget import budget
from bneck.executors.serial import Serial
from bneck.proxies.data import loading
from bneck.results.run import Run
from bneck.space import presets


def test_the_driver_and_its_workers_do_not_keep_memory_from_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process keeps what it has freed of a GPU for itself, until it ends or gives it back."""
    happened: list[str] = []

    class Workers(Serial):
        def rest(self) -> None:
            happened.append("idle workers are stopped")

    kept_training = "bneck.derivation.stages.kept_training"
    monkeypatch.setattr(f"{kept_training}.give_back", lambda: happened.append("memory given back"))
    plan = Plan(data="digits", resolution_px=16, search_steps=1, epochs=0.01)
    session = Session(Run(tmp_path, {}), plan, Workers(), Workers())
    asked = budget(plan, loading.load("digits", resolution_px=16).info)
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    train_alone(session, asked, arch, name="network", start=None)
    seed_training(session, asked, arch, None)
    assert happened == 2 * ["idle workers are stopped", "memory given back"]


def test_long_trainings_begin_in_new_workers(tmp_path: Path) -> None:
    """Of those that scored networks, the first two that are idle may share a GPU of eight."""
    happened: list[str] = []

    class Workers(Serial):
        def rest(self) -> None:
            happened.append("idle workers are stopped")

        def map_unordered(self, task: Any, items: Iterable[Any]) -> Iterator[Any]:
            happened.append("trainings begin")
            return super().map_unordered(task, items)

    plan = Plan(data="digits", resolution_px=16, epochs=0.01)
    scorer = Workers()
    session = Session(Run(tmp_path, {}), plan, scorer, scorer)
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    data = RunData(loading.load("digits", resolution_px=16).info)
    assert [*training_stage(session, data, {"network": arch}, {})] == ["network"]
    assert happened == ["idle workers are stopped", "trainings begin"]
