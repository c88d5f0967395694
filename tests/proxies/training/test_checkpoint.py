"""A training that stops goes on from its checkpoint, and from no other."""

import itertools
import os
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

from bneck import live
from bneck.errors import UsageError
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.training import trainer
from bneck.proxies.training.checkpoint import steps_done
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from tests.proxies.training.small_net import QUICK, small_net


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


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


def tick_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give training a clock that is a second further at each look."""
    ticks = itertools.count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


def test_seconds_are_counted_over_all_sessions(
    digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is a second further at each look, of which a step has two."""
    tick_at_each_look(monkeypatch)
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
    tick_at_each_look(monkeypatch)
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
