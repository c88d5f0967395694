import itertools
import math
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck import live
from bneck.errors import ProxyFailed, UsageError
from bneck.machine import Compute
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.proxy import PROXIES, find_proxy
from bneck.proxies.short_training import ShortTraining
from bneck.proxies.training import trainer
from bneck.proxies.training.checkpoint import steps_done
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import Backpropagate, WeightAverage, learn_labels
from bneck.proxies.training.trainer import train
from bneck.proxies.training.validation import evaluate
from bneck.space import presets

QUICK = Recipe(steps=9, batch_size=32, ema=0.9)


def small_net(seed: int = 0, classes: int = 10) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(32 * 16, classes),
        )


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def counting(shown: list[int]) -> Backpropagate:
    """Learn the labels, and note how many images each step is shown."""

    def backpropagate(network: nn.Module, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        shown.append(len(pixels))
        return learn_labels(network, pixels, labels, step, label_smoothing=0.0)

    return backpropagate


def test_a_small_network_learns_digits(digits: ImageSource) -> None:
    network = small_net()
    recipe = Recipe(steps=150, batch_size=64, learning_rate=0.01)
    shown: list[int] = []
    result = train(network, digits, recipe, seed=0, backpropagate=counting(shown))
    assert result.accuracy.value > 0.9
    assert shown == [64] * 150
    found = evaluate(network, digits)
    assert (result.accuracy, result.loss) == (found.accuracy, found.loss)
    assert torch.equal(result.losses, found.losses)
    assert result.right == found.right


def test_evaluation_against_closed_forms(digits: ImageSource) -> None:
    network = Constant([1.0] + [0.0] * 9).train()
    found = evaluate(network, digits)
    assert found.losses.shape == digits.val.labels.shape
    zeros = int((digits.val.labels == 0).sum()) / 360
    assert found.accuracy.value == pytest.approx(zeros)
    assert [mark == "1" for mark in found.right] == (digits.val.labels == 0).tolist()
    assert found.accuracy.stderr == pytest.approx(math.sqrt(zeros * (1 - zeros) / 360))
    assert found.loss == pytest.approx(math.log(math.e + 9) - zeros)
    assert network.training
    evaluate(network.eval(), digits)
    assert not network.training


def test_the_loss_of_mixed_labels_with_smoothing_by_its_formula() -> None:
    """Szegedy et al. 2016: shares q of K classes become (1 - e) q + e / K."""
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], requires_grad=True)
    shares = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    loss = learn_labels(torch.nn.Identity(), logits, shares, 0, label_smoothing=0.1)
    wanted = 0.9 * shares + 0.1 / 3
    each = -(wanted * logits.detach().log_softmax(1)).sum(1)
    assert loss.item() == pytest.approx(each.mean().item())
    # The gradient of a mean over 2 images is (softmax - wanted) / 2.
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(1) - wanted) / 2)


def test_one_cycle_is_torchs() -> None:
    recipe = Recipe(steps=100, learning_rate=0.5, warmup=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 100, cycle_momentum=False)
    for step in range(100):
        assert recipe.learning_rate_at(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 99:
            reference.step()


def test_a_training_is_the_plain_loop_of_its_recipe(digits: ImageSource) -> None:
    """torch's AdamW and schedule, on the recipe's own batches: mixed, balanced and smoothed."""
    recipe = Recipe(
        steps=6, batch_size=32, learning_rate=0.02, warmup=0.5, weight_decay=0.3, ema=None,
        label_smoothing=0.3, augmentation="random-resized-crop+mixup", balanced=True,
    )  # fmt: skip
    ours, theirs = small_net(), small_net().to(memory_format=torch.channels_last)
    for network in (ours, theirs):
        network[7].p = 0.0  # what dropout draws is not the loop's matter
    train(ours, digits, recipe, seed=7)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.02, 6, pct_start=0.5, cycle_momentum=False
    )
    batches = Batches(digits, 32, 7, recipe.augmentation, balanced=True)
    for step in range(6):
        pixels, shares = batches[step]
        optimizer.zero_grad()
        cross_entropy(theirs(pixels), shares, label_smoothing=0.3).backward()
        optimizer.step()
        if step < 5:
            schedule.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_the_shortest_schedules_stay_between_zero_and_the_peak(steps: int, warmup: float) -> None:
    recipe = Recipe(steps=steps, warmup=warmup, learning_rate=1.0)
    rates = [recipe.learning_rate_at(step) for step in range(steps)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) > 0


def test_norms_and_biases_are_free_of_weight_decay() -> None:
    network = small_net()
    decayed, free = QUICK.optimizer_for(network).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(16, 3, 3, 3), (32, 16, 3, 3), (10, 512)]
    assert len(free["params"]) == 5
    assert (decayed["weight_decay"], free["weight_decay"]) == (QUICK.weight_decay, 0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "steps must be a whole number from 1"),
        ("batch_size", 1, "batch size must be a whole number from 2"),
        ("learning_rate", math.nan, "learning rate must be a number"),
        ("learning_rate", -1.0, "learning rate must be a number"),
        ("ema", 1.5, "ema must be a number from 0 to 1, got 1.5"),
    ],
)
def test_bad_recipes_are_refused(field: str, value: object, message: str) -> None:
    fields: dict[str, Any] = {"steps": 1, field: value}
    with pytest.raises(UsageError, match=message):
        Recipe(**fields)


def test_the_average_covers_buffers_and_forgets_the_start_early() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, decay=0.5)
    expected = 0.0
    for number in range(1, 21):
        network.running_mean.fill_(number)
        network.num_batches_tracked.fill_(number)
        average.prepare(number)
        average.update()
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * number
    assert average.tensors["running_mean"].item() == pytest.approx(expected)
    assert average.tensors["num_batches_tracked"].item() == 20
    average.copy_to(network)
    assert network.running_mean.item() == pytest.approx(expected)


def test_the_average_follows_weights_whose_memory_format_changes() -> None:
    network = nn.Conv2d(2, 2, 3, bias=False)
    average = WeightAverage(network, decay=0.0)
    network.to(memory_format=torch.channels_last)
    nn.init.ones_(network.weight)
    average.prepare(1)
    average.update()
    assert average.tensors["weight"].unique().tolist() == [1.0]


def test_the_first_update_of_a_training_keeps_2_of_11_parts_of_the_start(
    digits: ImageSource,
) -> None:
    """The decay of update n is (1 + n) / (10 + n) at most, counted from 1."""
    start, after, averaged = small_net(), small_net(), small_net()
    train(after, digits, replace(QUICK, steps=1, ema=None), seed=7)
    train(averaged, digits, replace(QUICK, steps=1), seed=7)
    for was, now, found in zip(
        *(one.parameters() for one in (start, after, averaged)), strict=True
    ):
        torch.testing.assert_close(found, was.lerp(now, 9 / 11))


def test_what_dropout_draws_depends_on_step_and_seed(digits: ImageSource) -> None:
    def drawn(seed: int) -> list[float]:
        numbers = []

        def backpropagate(network: nn.Module, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
            numbers.append(torch.rand(()).item())
            return learn_labels(network, pixels, labels, step, label_smoothing=0.0)

        recipe = replace(QUICK, steps=3)
        train(small_net(), digits, recipe, seed=seed, backpropagate=backpropagate)
        return numbers

    assert drawn(0) == drawn(0)
    assert len({*drawn(0), *drawn(1)}) == 6


@pytest.mark.parametrize("recipe", [QUICK, replace(QUICK, ema=None)])
@pytest.mark.parametrize(
    ("sent", "handler"),
    [
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGINT, live.interrupt),
        (signal.SIGHUP, live.interrupt),
        (signal.SIGTERM, live.interrupt),
    ],
)
def test_a_signal_loses_nothing(
    digits: ImageSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: Recipe,
    sent: signal.Signals,
    handler: Callable[..., Any],
) -> None:
    """Python's own handler of Ctrl-C, and the command line's of what ends it."""
    monkeypatch.setattr(live, "_interrupted", 0)
    usual = signal.signal(sent, handler)
    whole = small_net()
    expected = train(whole, digits, recipe, seed=7)

    def interrupt(what: str, done: int, total: int, note: str = "") -> None:
        if done == 4:
            os.kill(os.getpid(), sent)

    file = tmp_path / "run" / "train.safetensors"
    try:
        with pytest.raises(KeyboardInterrupt):
            train(small_net(), digits, recipe, seed=7, checkpoint=file, progress=interrupt)
        assert signal.getsignal(sent) is handler
        assert bool(live.exit_code()) == (handler is live.interrupt)
    finally:
        signal.signal(sent, usual)
    monkeypatch.setattr(live, "_interrupted", 0)

    steps: list[int] = []
    resumed = small_net()
    result = train(
        resumed,
        digits,
        recipe,
        seed=7,
        checkpoint=file,
        progress=lambda what, done, total, note="": steps.append(done),
    )
    assert steps == [5, 6, 7, 8, 9]
    assert same(whole, resumed)
    assert result.accuracy == expected.accuracy

    again = small_net()
    assert train(again, digits, recipe, seed=7, checkpoint=file) == result
    assert same(whole, again)


def test_a_killed_training_resumes_from_its_last_checkpoint(
    digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(what: str, done: int, total: int, note: str = "") -> None:
        if done == 6:
            raise Killed

    whole, resumed = small_net(), small_net()
    train(whole, digits, QUICK, seed=1)
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with pytest.raises(Killed):
        train(small_net(), digits, QUICK, seed=1, checkpoint=tmp_path / "c", progress=kill)
    train(resumed, digits, QUICK, seed=1, checkpoint=tmp_path / "c")
    assert same(whole, resumed)


def test_seconds_are_counted_over_all_sessions(
    digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is a second further at each look, of which a step has two."""
    ticks = itertools.count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    def stop(what: str, done: int, total: int, note: str = "") -> None:
        if done == 6:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(small_net(), digits, QUICK, seed=1, checkpoint=tmp_path / "c", progress=stop)
    resumed = train(small_net(), digits, QUICK, seed=1, checkpoint=tmp_path / "c")
    assert resumed.seconds == QUICK.steps


def test_a_checkpoint_is_kept_each_time_that_so_many_seconds_are_over(
    digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of which a step takes two seconds: more than three are over at every other."""
    ticks = itertools.count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 3.0)
    kept: list[int | None] = []
    train(
        small_net(),
        digits,
        QUICK,
        seed=1,
        checkpoint=tmp_path / "c",
        progress=lambda *_: kept.append(steps_done(tmp_path / "c")),
    )
    assert kept == [None, None, 2, 2, 4, 4, 6, 6, 8]
    assert steps_done(tmp_path / "c") == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": replace(QUICK, steps=10)}, "made with steps 9, not 10"),
        ({"seed": 8}, "made with seed 7, not 8"),
        ({"network": small_net(1)}, "made with starting weights '.*', not"),
        (
            {"images": load("digits", resolution_px=16, seed=1)},
            "made with images of fingerprint '.*', not",
        ),
    ],
)
def test_anothers_checkpoint_is_refused(
    digits: ImageSource, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "c"
    usual = {"network": small_net(), "images": digits, "recipe": QUICK, "seed": 7}
    train(**usual, checkpoint=file)
    with pytest.raises(UsageError, match=message) as refused:
        train(**{**usual, "network": small_net(), **change}, checkpoint=file)
    assert str(refused.value).endswith("or remove the file to train from the beginning")
    file.unlink()
    train(**{**usual, "network": small_net(), **change}, checkpoint=file)
    assert steps_done(file) in (9, 10)


@pytest.mark.parametrize("change", [{"augmentation": "random-resized-crop"}, {"balanced": True}])
def test_a_checkpoint_that_says_more_than_todays_default_is_refused(
    digits: ImageSource, tmp_path: Path, change: dict[str, Any]
) -> None:
    file = tmp_path / "c"
    train(small_net(), digits, replace(QUICK, **change), seed=7, checkpoint=file)
    (name,) = change
    with pytest.raises(UsageError, match=f"made with {name} .*, not"):
        train(small_net(), digits, QUICK, seed=7, checkpoint=file)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\0\0\0\0\0\0\0{}      "])
def test_files_that_are_not_checkpoints(
    digits: ImageSource, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(UsageError, match="is not a training checkpoint"):
        train(small_net(), digits, QUICK, seed=0, checkpoint=tmp_path / "c")


def read_checkpoint(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A checkpoint's tensors by name, and its header."""
    with safe_open(file, "pt") as opened:
        header = opened.metadata()
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return tensors, header


@pytest.mark.parametrize("lacks", ["network.0.weight", "average.0.weight", "counters"])
def test_a_checkpoint_that_lacks_something_is_named(
    digits: ImageSource, tmp_path: Path, lacks: str
) -> None:
    file = tmp_path / "c"
    train(small_net(), digits, QUICK, seed=7, checkpoint=file)
    tensors, header = read_checkpoint(file)
    if lacks == "counters":
        header[lacks] = "[]"
    else:
        del tensors[lacks]
    save_file(tensors, file, header)
    with pytest.raises(UsageError, match=f"^{file} is not a training checkpoint: [^\n]+$"):
        train(small_net(), digits, QUICK, seed=7, checkpoint=file)


@pytest.mark.parametrize(
    ("counters", "done"),
    [
        ("[-1, 1.0, 1]", -1),
        ('["9", 1.0, 1]', 9),
        ("[true, 1.0, 1]", 1),
        ("[9, null, 1]", 9),
        ("[9, NaN, 1]", 9),
        ("[1e400, 1.0, 1]", None),
        ("[" * 990 + "]" * 990, None),
    ],
)
def test_counters_that_make_no_sense_are_refused(
    digits: ImageSource, tmp_path: Path, counters: str, done: int | None
) -> None:
    file = tmp_path / "c"
    train(small_net(), digits, QUICK, seed=7, checkpoint=file)
    tensors, header = read_checkpoint(file)
    save_file(tensors, file, header | {"counters": counters})
    assert steps_done(file) == done
    with pytest.raises(UsageError, match=f"^{file} is not a training checkpoint: [^\n]+$"):
        train(small_net(), digits, QUICK, seed=7, checkpoint=file)


def test_divergence_names_step_and_learning_rate(digits: ImageSource) -> None:
    recipe = Recipe(steps=50, batch_size=32, learning_rate=100, weight_decay=10, ema=None)
    said = r"loss is \w+ at step (\d+) of 50 with learning rate (\S+);"
    with pytest.raises(ProxyFailed, match=said) as failed:
        train(
            nn.Sequential(nn.Conv2d(3, 16, 16), nn.Conv2d(16, 10, 1), nn.Flatten()),
            digits,
            recipe,
            seed=0,
        )
    step, rate = re.search(said, str(failed.value)).groups()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 100, 50, cycle_momentum=False)
    for _ in range(int(step) - 1):  # the first step has the rate that torch begins with
        optimizer.step()
        schedule.step()
    assert float(rate) == pytest.approx(schedule.get_last_lr()[0], rel=0.05)  # in two digits


def test_a_network_of_nans_cannot_be_evaluated(digits: ImageSource) -> None:
    with pytest.raises(ProxyFailed, match="validation loss on digits is nan"):
        evaluate(Constant([math.nan] * 10), digits)


def test_a_network_for_other_classes_is_refused(digits: ImageSource) -> None:
    with pytest.raises(UsageError, match="has 7 outputs and digits has 10 classes"):
        train(small_net(classes=7), digits, QUICK, seed=0)


def test_training_leaves_no_traces_outside(digits: ImageSource) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(small_net(), digits, replace(QUICK, steps=2), seed=0, compute=Compute(threads=2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_batches_larger_than_the_set_shrink(digits: ImageSource) -> None:
    few = digits.subset(train=20, val=20, seed=0)
    shown: list[int] = []
    train(small_net(), few, Recipe(steps=2, batch_size=512), seed=0, backpropagate=counting(shown))
    assert shown == [20, 20]


def test_short_training_scores_an_architecture(digits: ImageSource) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=1000)
    proxy = ShortTraining(digits.for_search(0), replace(QUICK, steps=3))
    score = proxy(arch, seed=1)
    assert 0 <= score <= 1
    assert proxy(arch, seed=1) == score
    assert proxy.made_with == {"device": "cpu", "precision": "fp32"}


def test_every_proxy_of_the_table_is_there() -> None:
    assert find_proxy("short-training") is ShortTraining
    assert all(callable(find_proxy(word)) for word in PROXIES)
    assert find_proxy("bneck.proxies.short_training:ShortTraining") is ShortTraining


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("naswat", "unknown proxy 'naswat'; known: .*short-training, shared-weights:RUN, package"),
        ("no.such:thing", "cannot load proxy 'no.such:thing': No module"),
        ("bneck.errors:thing", "cannot load proxy 'bneck.errors:thing'"),
        (".errors:thing", "cannot load proxy '.errors:thing'"),
        (":thing", "cannot load proxy ':thing'"),
        ("shared-weights:", "unknown proxy 'shared-weights:'; known: .* shared-weights:RUN, pack"),
    ],
)
def test_unknown_proxies(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_proxy(word)
