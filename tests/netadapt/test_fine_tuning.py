"""What a step's fine-tunings leave for the same step after an interruption."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bneck.errors import ProxyFailed
from bneck.executors.serial import Serial
from bneck.netadapt.fine_tuning import FineTune, FineTuned, Narrowed, StepTrainings
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.quantities import Accuracy
from bneck.results.record import Proposal
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from bneck.space.edits import narrow
from tests.small_networks import three_stages

WIDE, NARROW = (
    presets.build("mobilenet_v3_small", width=width, resolution_px=16, classes=10)
    for width in (0.4, 0.3)
)
FIRST, SECOND = Proposal(WIDE, "first", 0.9, 0.1), Proposal(NARROW, "second", 0.8, 0.2)


@dataclass(frozen=True)
class Drawn:
    """Weights from the seed in place of training; notes what it was asked for."""

    seed: int
    asked: list[tuple[int, bool]]

    def load(self) -> None:
        """Nothing to load."""

    def __call__(self, narrowed: Narrowed) -> FineTuned:
        if narrowed.start is not None:
            weights.from_bytes(narrowed.start, narrowed.arch)
        self.asked.append((self.seed, narrowed.start is not None))
        state = torch_model.build(narrowed.arch, seed=self.seed).state_dict()
        return FineTuned(Accuracy(0.5), 1.0, (1.0,), "1", weights.to_bytes(state))


def tuned(trainings: StepTrainings, number: int, *proposals: Proposal) -> tuple[Proposal, ...]:
    return trainings.round(number, proposals, "step")


def test_a_step_resumes_with_other_proposals_than_it_began_with(tmp_path: Path) -> None:
    """Its goal is another one where the network measured a little different meanwhile."""
    task = Drawn(0, [])
    tuned(StepTrainings(task, tmp_path, Serial()), 1, FIRST, SECOND)
    assert task.asked == [(0, False)] * 2
    resumed = StepTrainings(task, tmp_path, Serial())
    tuned(resumed, 1, SECOND)
    assert len(task.asked) == 2  # which was paid for before
    (again,) = tuned(resumed, 2, SECOND)
    assert task.asked[2][1]  # from where the first round ended
    assert task.asked[2][0] != task.asked[0][0]  # on batches of its own
    weights.load(resumed.weights(again), NARROW)


def test_what_has_lost_its_weights_is_tuned_again(tmp_path: Path) -> None:
    """As in a step that an earlier version began, whose files had other names."""
    task = Drawn(0, [])
    before = StepTrainings(task, tmp_path, Serial())
    tuned(before, 1, FIRST)
    before.weights(FIRST).unlink()
    after = StepTrainings(task, tmp_path, Serial())
    assert tuned(after, 1, FIRST) == (replace(FIRST, accuracy=Accuracy(0.5), loss=1.0),)
    assert len(task.asked) == 2
    weights.load(after.weights(FIRST), WIDE)


class DivergesLater(Drawn):
    """Fails where it goes on from a round before."""

    def __call__(self, narrowed: Narrowed) -> FineTuned:
        if narrowed.start is not None:
            raise ProxyFailed("diverged")
        return super().__call__(narrowed)


def test_what_fails_in_the_second_round_keeps_the_outcome_of_the_first(tmp_path: Path) -> None:
    trainings = StepTrainings(DivergesLater(0, []), tmp_path, Serial())
    first = tuned(trainings, 1, FIRST)
    assert tuned(trainings, 2, FIRST) == first
    assert first[0].rounds == 1
    assert tuned(StepTrainings(DivergesLater(0, []), tmp_path, Serial()), 2, FIRST) == first


@pytest.mark.parametrize(("importance", "dead_stay"), [("l2", True), ("taylor", False)])
def test_the_channels_that_are_most_important_by_the_plan_stay(
    importance: str, dead_stay: bool
) -> None:
    """Filters of large norm behind which the batch norm lets nothing through."""
    arch, what = three_stages(width=0.35), "s3.b1.expand"
    state = torch_model.build(arch).state_dict()
    width, dead = len(state[f"{what}.norm.weight"]), [1, 5]
    for part in ("weight", "bias"):
        state[f"{what}.norm.{part}"][dead] = 0.0
    state[f"{what}.conv.weight"][dead] *= 100
    images = WorkerImages("digits", 16, 16, seed=0, train=128, val=128)
    task = FineTune(images, arch, weights.to_bytes(state), Recipe(2, 32), 0, importance)
    kept = task.inherited(narrow(arch, what, width - 8))[f"{what}.norm.weight"]
    assert bool((kept == 0).any()) == dead_stay
