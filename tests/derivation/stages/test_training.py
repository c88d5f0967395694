"""Trainings by the driver itself, on real digits."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.kept_training import train_and_keep
from bneck.derivation.stages.netadapt_seed import seed_training
from bneck.derivation.stages.training import train_alone, training_stage
from bneck.derivation.training_budget import budget
from bneck.executors.serial import Serial
from bneck.machine import ONE_THREAD
from bneck.proxies.data import loading
from bneck.proxies.data.worker_images import whole
from bneck.proxies.training.teacher import Teacher
from bneck.results.run import Run
from bneck.results.run_files import TrainingFiles
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from tests.small_networks import three_stages


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


def test_final_trainings_have_the_plans_seed_branches_and_teacher(tmp_path: Path) -> None:
    """Whether the driver trains them or workers do."""
    plan = Plan(data="digits", resolution_px=16, epochs=0.1, seed=3, branches=True)
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    data = RunData(loading.load("digits", resolution_px=16, seed=3).info)
    arch, asked = three_stages(), budget(plan, data.info)
    teacher = Teacher(arch, weights.to_bytes(torch_model.build(arch, seed=5).state_dict()))
    plain, files = session.run.training("derived"), TrainingFiles(tmp_path, "expected")
    images, how = whole(asked.images), {"seed": 3, "compute": ONE_THREAD, "branches": True}
    _, expected = train_and_keep(arch, images, asked.final, files, teacher=teacher, **how)
    _, alone = train_alone(session, asked, arch, name="network", start=None, teacher=teacher)
    training_stage(session, data, {"derived": arch}, {}, teacher)
    by_a_worker = weights.load(plain.weights, arch)
    for name, one in expected.items():
        assert torch.equal(by_a_worker[name], one)
        torch.testing.assert_close(alone[name], one, rtol=1e-4, atol=1e-5)
