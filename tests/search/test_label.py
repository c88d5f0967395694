"""Labels say what made them, and those of two kinds of device do not mix unasked."""

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.machine import CPU
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.results.record import Record
from bneck.search.evaluation import Evaluate
from bneck.search.label import Label
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_attributes import read_records
from bneck.space.architecture import Architecture
from tests.closed_form import MacsDevice, accuracy
from tests.search.driver import SPACE

CPU_LABEL = {"device": "cpu", "precision": "fp32"}
GPU_LABEL = {"device": "cuda", "precision": "bf16", "card": "NVIDIA H100"}
TASK = Evaluate(WorkerImages("digits", 16, 16, 0, 64, 32), "short-training", Recipe(3, 16), 0)


def searched(journal: Path, made_with: dict[str, str], evaluations: int, **asked) -> list[Record]:
    def evaluate(arch: Architecture) -> Label:
        return Label(accuracy(arch), made_with)

    return search(
        Study(journal, SPACE, sampler="random", seed=0),
        evaluate,
        objectives=Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)]),
        evaluations=evaluations,
        executor=Serial(),
        **asked,
    )


def test_a_search_goes_on_with_labels_of_its_own_kind_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    searched(journal, CPU_LABEL, 2)
    with pytest.raises(UsageError, match=r"trained on cuda in bf16, .* labels are of cpu in fp32"):
        searched(journal, GPU_LABEL, 4)
    assert [record.made_with for record in read_records(journal, SPACE)] == [CPU_LABEL] * 2
    kinds = [one.made_with for one in searched(journal, GPU_LABEL, 4, mix_devices=True)]
    assert kinds == [CPU_LABEL] * 2 + [GPU_LABEL] * 2


def test_labels_that_do_not_say_what_made_them_fit_all(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    searched(journal, {}, 2)
    assert len(searched(journal, GPU_LABEL, 4)) == 4


def test_a_short_training_says_what_made_it() -> None:
    label = TASK(SPACE.decode(SPACE.sample(0)).at(resolution_px=16))
    assert label.made_with == CPU_LABEL


def test_a_machine_of_another_kind_is_refused_before_it_trains() -> None:
    replace(TASK, labels_of="cpu").load()
    other = replace(TASK, labels_of="cuda", compute=CPU)
    said = rf"--device cpu is cpu on {platform.node()}, and the search's labels are of cuda"
    with pytest.raises(UsageError, match=said):
        other.load()
