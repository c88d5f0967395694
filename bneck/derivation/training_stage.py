"""One long training: checkpointed while it runs, kept when it ends."""

from dataclasses import dataclass
from pathlib import Path

from bneck.progress import Progress, silent
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import evaluate, train
from bneck.quantities import Accuracy
from bneck.results import codec
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights


@dataclass(frozen=True, slots=True)
class Training:
    """How a training ended: its accuracy on the validation part."""

    name: str
    accuracy: Accuracy
    seconds: float


def train_from_scratch(
    arch: Architecture,
    images: ImageSource,
    recipe: Recipe,
    *,
    name: str,
    folder: Path,
    seed: int,
    progress: Progress = silent,
    threads: int | None = None,
    start: weights.State | None = None,
) -> tuple[Training, weights.State]:
    """Train ``arch``, or read what was trained in ``folder`` under this name before.

    Interrupted, it goes on from its checkpoint. With ``start`` it is no training from scratch but
    one that begins with those weights.

    Raises:
        ProxyFailed: the training diverged.
    """
    summary, tensors = folder / f"{name}.json", folder / f"{name}.safetensors"
    if not summary.exists():
        network = torch_model.build(arch, seed=seed)
        if start is not None:
            network.load_state_dict(start)
        checkpoint = folder / f"{name}.checkpoint"
        result = train(
            network,
            images,
            recipe,
            seed=seed,
            checkpoint=checkpoint,
            progress=lambda what, *rest: progress(f"{what} {name}", *rest),
            threads=threads,
        )
        weights.save(tensors, network.state_dict())
        trained = Training(name, result.accuracy, result.seconds)
        codec.write(summary, trained)
        checkpoint.unlink(missing_ok=True)
    return codec.read(summary, Training), weights.load(tensors, arch)


def keep_trained(
    arch: Architecture, state: weights.State, images: ImageSource, *, name: str, folder: Path
) -> Training:
    """Measure weights that were trained elsewhere, and keep them as if they were trained here."""
    network = torch_model.Network(arch)
    network.load_state_dict(state)
    weights.save(folder / f"{name}.safetensors", state)
    trained = Training(name, evaluate(network, images).accuracy, 0.0)
    codec.write(folder / f"{name}.json", trained)
    return trained
