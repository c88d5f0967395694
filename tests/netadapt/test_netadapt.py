"""NetAdapt's choice and its widths, in closed form; its steps on real digits."""

import errno
import os
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import sem

from bneck.errors import BneckError
from bneck.executors import Failed
from bneck.executors.serial import Serial
from bneck.netadapt import fine_tuning
from bneck.netadapt.fine_tuning import StepTrainings
from bneck.netadapt.netadapt import NetAdapt
from bneck.netadapt.proposals import ProposalGenerator
from bneck.netadapt.rules import MOST_TIED, settle_ties
from bneck.netadapt.selection import all_lose_accuracy, best, reference
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.quantities import Accuracy
from bneck.results.record import Proposal, Step
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights
from bneck.space.cost import cost
from bneck.space.edits import narrowables
from tests.closed_form import MacsDevice
from tests.small_networks import three_stages

ARCH = three_stages(width=0.5)
START_MS = cost(ARCH).macs / 1e6
DELTA_MS = START_MS / 20
ONE_STEP_MS = START_MS - DELTA_MS


BEFORE = Proposal(ARCH, "unchanged", 1.0, 0.0, Accuracy(0.80, 0.01), loss=0.80)


def proposal(loss: float | None, saved_ms: float, move: str = "a 8->4") -> Proposal:
    error = "diverged" if loss is None else None
    return Proposal(ARCH, move, 1.0, saved_ms, error=error, loss=loss)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((0.81, 0.4), (0.81, 0.1)),  # equal losses: more saved wins, as in the paper
        ((0.90, 0.4), (0.85, 0.1)),  # 0.1 / 0.4 is a smaller rise per ms than 0.05 / 0.1
        ((0.78, 0.4), (0.78, 0.1)),  # equal gains: the paper's quotient would take the smaller
        ((0.80, 0.4), (0.80, 0.1)),  # no change at all
        ((0.80, 0.1), (0.81, 0.4)),  # any gain stands above any loss
    ],
)
def test_saving_more_at_the_same_loss_never_loses(
    better: tuple[float, float], worse: tuple[float, float]
) -> None:
    pair = (proposal(*worse), proposal(*better))
    assert best(pair, BEFORE) is pair[1]
    assert best(pair[::-1], BEFORE) is pair[1]


def test_failed_proposals_are_passed_over() -> None:
    assert best((proposal(None, 9.0), proposal(0.9, 0.1)), BEFORE).loss == 0.9
    with pytest.raises(BneckError, match="every proposal failed, the first with: diverged"):
        best((proposal(None, 9.0),), BEFORE)


def test_where_the_unchanged_network_failed_the_best_stands_for_it() -> None:
    tried = (proposal(0.9, 0.1), proposal(None, 0.1), proposal(0.8, 0.2))
    assert reference(BEFORE, tried) is BEFORE
    failed = replace(BEFORE, loss=None, error="diverged")
    assert reference(failed, tried) is tried[2]
    assert reference(failed, tried[1:2]) is failed  # for best to say that all failed
    longer = replace(tried[0], rounds=2)  # all others ended a shorter training
    assert reference(BEFORE, (longer, tried[2])) is longer


def test_only_what_is_within_a_standard_error_of_the_pairs_is_a_tie() -> None:
    draw = np.random.default_rng(0)
    hard = draw.exponential(size=1000)  # images differ far more than two networks on one image

    def called(rise: float, saved_ms: float = 0.1, seed: int = 1) -> Proposal:
        noise = np.random.default_rng(seed).normal(0, 0.1, 1000)
        one = proposal(0.0, saved_ms, f"{rise} {saved_ms} {seed}")
        known[one.move] = hard + rise + noise - noise.mean()  # a pair differs to 0.1 * sqrt(2/1000)
        return replace(one, loss=float(known[one.move].mean()))

    def ties(*some: Proposal) -> list[str]:
        before = replace(BEFORE, loss=float(hard.mean()))
        return [one.move for one in settle_ties(some, before, lambda one: known[one.move])]

    known = {"unchanged": hard}
    assert ties(called(0.01), called(0.02, seed=2)) == []
    close = (called(0.012, seed=2), called(0.01), called(0.011, seed=3))
    assert ties(*close) == ["0.01 0.1 1", "0.011 0.1 3", "0.012 0.1 2"]
    # half the saving may cost half as much
    assert len(ties(called(0.02), called(0.011, 0.05, seed=2))) == 2
    assert ties(called(0.02), called(0.02, 0.05, seed=2)) == []
    # and half the saving must gain twice as much
    assert ties(called(-0.02), called(-0.021, 0.05, seed=2)) == []
    assert len(ties(called(-0.02), called(-0.039, 0.05, seed=2))) == 2
    assert len(ties(*(called(0.01 + i / 1e5, seed=i) for i in range(9)))) == MOST_TIED
    assert ties(proposal(None, 0.1)) == []


@pytest.mark.parametrize(
    ("more", "is_tie"),
    [
        ((-0.02, 0.0, 0.3), True),  # 0.0933 +- 0.1035
        ((-0.02, 0.02, 0.3), True),  # 0.1 +- 0.1007
        ((0.0, 0.03, 0.3), False),  # 0.11 +- 0.0954
        ((0.3,), True),  # of one image nothing says how sure it is
    ],
)
def test_few_images_have_the_standard_error_of_a_sample(
    more: tuple[float, ...], is_tie: bool
) -> None:
    """As ``scipy.stats.sem`` has it."""
    losses = {"unchanged": np.ones(len(more)), "a": np.ones(len(more)) + 1e-6}
    losses["b"] = losses["a"] + more
    a, b = (replace(proposal(float(losses[one].mean()), 0.1), move=one) for one in "ab")
    before = replace(BEFORE, loss=1.0)
    tied = settle_ties((a, b), before, lambda one: losses[one.move])
    assert tied == ((a, b) if is_tie else ())
    if len(more) > 1:
        assert is_tie == (np.mean(more) <= sem(more))


def test_a_tie_is_settled_among_those_that_trained_longer() -> None:
    first = proposal(0.81, 0.1)
    again = replace(first, move="b", loss=0.85, rounds=2)
    assert best((first, again), BEFORE) is again


def netadapt(folder: Path, model: object, delta_ms: float = DELTA_MS) -> NetAdapt:
    images = WorkerImages("digits", 16, 16, seed=0, train=128, val=128)
    recipe = Recipe(2, batch_size=32, learning_rate=1e-3)
    steps, family = folder / "steps.jsonl", folder / "family"
    return NetAdapt(model, images, recipe, delta_ms, 0, steps, family, Serial())


def begun(folder: Path, model: object, **changes: float) -> NetAdapt:
    adapt = netadapt(folder, model, **changes)
    accuracy, state = trained_seed(adapt.images)
    weights.save(adapt.weights(0), state)
    adapt.begin(ARCH, accuracy)
    return adapt


@cache
def trained_seed(images: WorkerImages) -> tuple[Accuracy, weights.State]:
    network = torch_model.build(ARCH, seed=0)
    trained = train(network, for_proxies(images), Recipe(4, 32), seed=0)
    return trained.accuracy, network.state_dict()


def test_each_step_saves_delta_by_the_widest_width(tmp_path: Path, model: object) -> None:
    adapt = begun(tmp_path, model)
    target_ms = START_MS - 2.5 * DELTA_MS
    steps = adapt.shrink(target_ms)
    assert any(tried.rounds == 2 for step in steps for tried in step.proposals)
    assert steps[0].arch == ARCH
    assert steps[-1].latency_ms <= target_ms < steps[-2].latency_ms
    for before, after in pairwise(steps):
        needed_ms = min(DELTA_MS, before.latency_ms - target_ms)
        assert after.arch in [tried.arch for tried in after.proposals]
        assert after == steps[after.number]
        *proposals, unchanged = after.proposals
        assert (unchanged.arch, unchanged.move) == (before.arch, "unchanged")
        assert after.arch == best(proposals, unchanged).arch
        for tried in proposals:
            what, _, change = tried.move.partition(" ")
            was, now = map(int, change.split("->"))
            assert {item.what: item.width for item in narrowables(before.arch)}[what] == was
            assert now % 8 == 0
            assert tried.saved_ms == pytest.approx(before.latency_ms - tried.latency_ms)
            assert tried.saved_ms >= needed_ms
            assert 0 <= tried.accuracy.value <= 1
        weights.load(adapt.weights(after.number), after.arch)  # the family is kept
    assert not list((tmp_path / "family").glob("step-*"))


def test_a_step_says_where_it_began_where_it_is_and_what_the_target_is(
    tmp_path: Path, model: object
) -> None:
    told = []
    adapt = replace(begun(tmp_path, model), progress=lambda what, *_: told.append(what))
    adapt.shrink(ONE_STEP_MS)
    ms = f"{START_MS:.3g} -> {START_MS:.3g} ms, target {ONE_STEP_MS:.3g} ms"
    assert f"NetAdapt step 1, {ms}" in told


def test_no_step_goes_far_under_the_target(tmp_path: Path, model: object) -> None:
    adapt = begun(tmp_path, model, delta_ms=START_MS / 10)
    target_ms = 0.912 * START_MS
    every = ProposalGenerator(model).proposals(ARCH, START_MS - target_ms)
    (_, step) = adapt.shrink(target_ms)
    near = {one.move for one in every if one.latency_ms >= 0.97 * target_ms}
    assert {one.move for one in step.proposals} == near | {"unchanged"}
    assert len(near) < len(every)


def test_other_savings_are_tried_where_all_else_loses(tmp_path: Path, model: object) -> None:
    class SeedKnowsAll(Serial):
        def map_unordered(self, task: object, items: list) -> object:
            for item, score in super().map_unordered(task, items):
                yield item, replace(score, accuracy=Accuracy(1.0)) if item.arch == ARCH else score

    adapt = begun(tmp_path, model, delta_ms=START_MS / 10)
    target_ms = 0.912 * START_MS
    left_ms = START_MS - target_ms
    every = [
        one for ms in (left_ms, left_ms / 2) for one in ProposalGenerator(model).proposals(ARCH, ms)
    ]
    step = replace(adapt, executor=SeedKnowsAll()).shrink(target_ms)[1]
    assert {one.move for one in step.proposals} == {"unchanged", *(one.move for one in every)}


def test_ties_are_settled_where_the_unchanged_network_failed(tmp_path: Path, model: object) -> None:
    class SeedDiverges(Serial):
        def map_unordered(self, task: object, items: list) -> object:
            for item, score in super().map_unordered(task, items):
                yield item, Failed("diverged") if item.arch == ARCH else score

    step = replace(begun(tmp_path, model), executor=SeedDiverges()).shrink(ONE_STEP_MS)[-1]
    *proposals, unchanged = step.proposals
    assert (unchanged.rounds, unchanged.error) == (1, "diverged")
    longer = [one for one in proposals if one.rounds == 2]
    assert len(longer) > 1
    assert step.move == min(longer, key=lambda one: one.loss).move


class AllFail(Serial):
    """As where a GPU's memory is full, or the time limit is too short."""

    def map_unordered(self, task: object, items: list) -> object:
        for item in items:
            yield item, Failed("stopped at the time limit of 1 s")


def test_proposals_that_all_failed_are_tried_again(
    one_step: Step, tmp_path: Path, model: object
) -> None:
    adapt = begun(tmp_path, model)
    with pytest.raises(BneckError, match="every proposal failed, the first with: stopped at"):
        replace(adapt, executor=AllFail()).shrink(ONE_STEP_MS)
    step = adapt.shrink(ONE_STEP_MS)[-1]
    assert (step.arch, step.accuracy) == (one_step.arch, one_step.accuracy)


def test_free_channels_whose_training_fails_are_not_taken(tmp_path: Path, model: object) -> None:
    adapt = begun(tmp_path, model)
    assert (
        replace(adapt, executor=AllFail()).widen(Proposal(ARCH, "free channels", 1.0, 0.0)) is None
    )
    assert len(adapt.done()) == 1
    assert len(adapt.shrink(ONE_STEP_MS)) == 2  # for a further target


def test_a_loss_is_one_beyond_its_standard_error() -> None:
    def one(accuracy: float) -> Proposal:
        return replace(proposal(0.9, 0.1), accuracy=Accuracy(accuracy, 0.01))

    def unknown(tried: Proposal) -> str:
        return ""

    assert all_lose_accuracy((one(0.78), proposal(None, 0.1)), BEFORE, unknown)
    assert not all_lose_accuracy((one(0.78), one(0.79)), BEFORE, unknown)  # sqrt(2) * 0.01


def test_a_loss_on_the_same_images_is_judged_in_pairs() -> None:
    """Of 1,000 images 10 are lost and 4 won: 0.6 points, whose error in pairs is 0.37."""
    before = replace(BEFORE, accuracy=Accuracy.counted(0.8, 1000))
    after = replace(proposal(0.9, 0.1, "a"), accuracy=Accuracy.counted(0.794, 1000))
    known = {
        before.move: "1" * 800 + "0" * 200,
        after.move: "0" * 10 + "1" * 790 + "1" * 4 + "0" * 196,
    }
    assert all_lose_accuracy((after,), before, lambda one: known[one.move])
    known[after.move] = "0" * 40 + "1" * 760 + "1" * 34 + "0" * 166  # an error of 0.86 points
    assert not all_lose_accuracy((after,), before, lambda one: known[one.move])


class Counting(Serial):
    """Counts what is paid for, and stops in the middle of the second step."""

    def __init__(self, stop_after: int | None) -> None:
        self.paid, self.stop_after = 0, stop_after
        self.seeds: set[int] = set()

    def map_unordered(self, task: object, items: list) -> object:
        self.seeds.add(task.seed % fine_tuning._NEXT_SEED)
        for item, result in super().map_unordered(task, items):
            self.paid += 1
            yield item, result
            if self.paid == self.stop_after:
                raise KeyboardInterrupt


def test_it_resumes_between_the_proposals_of_a_step(tmp_path: Path, model: object) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    target_ms = START_MS - 1.5 * DELTA_MS
    whole, second = Counting(None), Counting(None)
    adapt = replace(begun(tmp_path / "whole", model), executor=whole)
    expected = adapt.shrink(target_ms)
    assert len(expected) == 3
    assert len(whole.seeds) == 2  # each step trains on batches of its own
    first = Counting(len(expected[1].proposals) + 2)
    adapt = begun(tmp_path / "cut", model)
    with pytest.raises(KeyboardInterrupt):
        replace(adapt, executor=first).shrink(target_ms)
    got = replace(netadapt(tmp_path / "cut", model), executor=second).shrink(target_ms)
    assert first.paid + second.paid == whole.paid
    assert [step.arch for step in got] == [step.arch for step in expected]
    assert [step.accuracy for step in got] == [step.accuracy for step in expected]


@pytest.fixture(scope="module")
def one_step(tmp_path_factory: pytest.TempPathFactory) -> Step:
    """The step to ``ONE_STEP_MS``, undisturbed."""
    return begun(tmp_path_factory.mktemp("whole"), MacsDevice()).shrink(ONE_STEP_MS)[-1]


def test_weights_and_losses_that_a_kill_left_half_written_are_made_again(
    one_step: Step, tmp_path: Path, model: object
) -> None:
    adapt = begun(tmp_path, model)
    with pytest.raises(KeyboardInterrupt):
        replace(adapt, executor=Counting(3)).shrink(ONE_STEP_MS)
    (journal,) = (tmp_path / "family").glob("step-*/fine-tuned.jsonl")
    journal.write_bytes(journal.read_bytes()[:-100])
    *_, last = sorted(journal.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    last.write_bytes(b"torn")
    step = adapt.shrink(ONE_STEP_MS)[-1]
    assert (step.arch, step.accuracy) == (one_step.arch, one_step.accuracy)


def test_what_a_kill_left_of_a_step_that_ended_is_removed(
    tmp_path: Path, model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    adapt = begun(tmp_path, model)
    with monkeypatch.context() as patched:
        patched.setattr(StepTrainings, "clear", killed)
        with pytest.raises(KeyboardInterrupt):
            adapt.shrink(ONE_STEP_MS)
    (left,) = (tmp_path / "family").glob("step-*")
    assert [one.number for one in adapt.shrink(ONE_STEP_MS)] == [0, 1]
    assert not left.exists()


def test_a_full_disk_is_not_a_result_of_a_proposal(
    one_step: Step, tmp_path: Path, model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt = begun(tmp_path, model)
    write = Path.write_bytes
    written: list[Path] = []

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(BneckError, match=r"cannot write .*-1\.safetensors: No space left"):
            adapt.shrink(ONE_STEP_MS)
    step = adapt.shrink(ONE_STEP_MS)[-1]
    assert step.proposals == one_step.proposals
    assert all(one.error is None for one in step.proposals)


def test_a_target_that_no_narrowing_reaches_names_the_fastest(
    tmp_path: Path, model: object
) -> None:
    class Fixed:
        """Nothing saves time on this device."""

        def predict(self, arch: Architecture) -> object:
            return model.predict(ARCH)

    adapt = begun(tmp_path, Fixed())
    with pytest.raises(BneckError, match=r"no narrowing reaches 0\.01 ms; the fastest network"):
        adapt.shrink(0.01)
