"""One process of a training, as a task of an executor."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from bneck.machine import ONE_THREAD
from bneck.proxies.data.loading import load
from bneck.proxies.training import trainer
from bneck.proxies.training.distributed import rank
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import TrainingResult, train
from bneck.space import presets
from bneck.space.backends.torch_model import build

STOPPED, STOPPED_LATE = 10, 45
STEPS = 50


class Double(nn.Module):
    """A network in double precision, so that rounding does not part two trainings."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x.double())
        return y


class Stop(Exception):
    """Stands in for the end of a process."""


def trained(
    checkpoint: Path | None = None,
    stop_at: int | None = None,
    *,
    double: bool = True,
    learning_rate: float = 3e-3,
) -> tuple[list[float], TrainingResult | None]:
    """Train MobileNetV3-Small's first stages on digits: losses of the steps, what it came to."""
    images = load("digits", resolution_px=16, seed=0)
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    arch = replace(arch, stages=arch.stages[:2])
    losses: list[float] = []
    usual = trainer.mean_over_processes

    def remember(loss: Tensor) -> float:
        losses.append(usual(loss))
        return losses[-1]

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        if done == stop_at:
            raise Stop

    trainer.mean_over_processes = remember
    trainer.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    try:
        result = train(
            Double(build(arch, seed=1)) if double else build(arch, seed=1),
            images,
            Recipe(STEPS, batch_size=32, learning_rate=learning_rate),
            seed=0,
            checkpoint=checkpoint,
            progress=progress,
            compute=ONE_THREAD,
        )
    except Stop:
        return losses, None
    finally:
        trainer.mean_over_processes = usual
        trainer.SECONDS_BETWEEN_CHECKPOINTS = 20.0
    return losses, result


def train_three_times(folder: Path) -> dict[str, object]:
    """Train together with the others: to the end, until ``STOPPED``, and on from there."""
    losses, result = trained()
    trained(folder / "by several", STOPPED)
    rest, _ = trained(folder / "by one")
    assert result is not None
    return {
        "losses": losses,
        "rest": rest,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "images": len(result.losses),
    }


def train_from_what_the_second_sees(folder: Path) -> None:
    """Train together with the others, where a file of the second's machine is not the first's."""
    trained(folder / ("second" if rank() else "first"))


def losses_in_single(learning_rate: float) -> list[float]:
    """The losses of a training in single precision, together with the others if there are any."""
    return trained(double=False, learning_rate=learning_rate)[0]
