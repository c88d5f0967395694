"""One long training: checkpointed while it runs, kept when it ends."""

from torch import nn

from bneck import records
from bneck.files import is_written
from bneck.machine import CPU, Compute
from bneck.progress import Progress, silent
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.device import give_back
from bneck.proxies.training.distributed import rank, wait_for_all
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.teacher import Teacher
from bneck.proxies.training.trainer import train
from bneck.proxies.training.validation import evaluate
from bneck.quantities import Accuracy
from bneck.results.run_files import TrainingFiles
from bneck.results.stage_record import Training
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights
from bneck.space.backends.branches import branched, fold


def train_and_keep(
    arch: Architecture,
    images: ImageSource,
    recipe: Recipe,
    files: TrainingFiles,
    *,
    seed: int,
    progress: Progress = silent,
    compute: Compute = CPU,
    start: weights.State | None = None,
    branches: bool = False,
    teacher: Teacher | None = None,
) -> tuple[Training, weights.State]:
    """Train ``arch``, or read what ``files`` hold of its training.

    An interrupted training resumes from its checkpoint. Several processes that train together call
    this together, and the first one writes.

    Args:
        arch: the network.
        images: what it is trained and measured on.
        recipe: how it is trained.
        files: where its checkpoint, its weights and its result are kept.
        seed: of all random choices.
        progress: called now and then.
        compute: where it is trained.
        start: weights to begin with; None trains from scratch.
        branches: whether convolutions have parallel branches until the training ends.
        teacher: a trained network whose outputs are learnt too.

    Raises:
        ProxyFailed: the training diverged.
    """
    if not is_written(files.result):
        network = _network(arch, seed, start, branches)
        result = train(
            network,
            images,
            recipe,
            seed=seed,
            checkpoint=files.checkpoint,
            progress=lambda what, *rest: progress(f"{what} {files.name}", *rest),
            compute=compute,
            teacher=teacher,
        )
        tested = on_test(network, images, compute)
        give_back()  # workers, or the driver, may need it next
        if rank() == 0:
            weights.save(files.weights, fold(network))
            ended = Training(files.name, result.accuracy, result.seconds, tested, result.right)
            records.write(files.result, ended)
        wait_for_all()
    files.forget_checkpoint()
    return records.read(files.result, Training), weights.load(files.weights, arch)


def on_test(network: nn.Module, images: ImageSource, compute: Compute) -> Accuracy | None:
    """Return the last figure: on images that chose nothing, where there are any.

    Args:
        network: a trained network.
        images: the set, whose test part is classified.
        compute: where it is classified.
    """
    if images.test is None:
        return None
    return evaluate(network, images.on_test(), compute=compute).accuracy


def _network(
    arch: Architecture, seed: int, start: weights.State | None, branches: bool
) -> torch_model.Network:
    if branches:
        return branched(arch, seed=seed, start=start)
    network = torch_model.build(arch, seed=seed)
    if start is not None:
        network.load_state_dict(start)
    return network


def keep_trained(
    arch: Architecture, state: weights.State, images: ImageSource, files: TrainingFiles
) -> Training:
    """Measure weights that were trained elsewhere, and keep them as if they were trained here.

    Args:
        arch: the network.
        state: its trained weights.
        images: whose validation part it is measured on.
        files: where its weights and its result are kept.
    """
    network = torch_model.Network(arch)
    network.load_state_dict(state)
    weights.save(files.weights, state)
    found = evaluate(network, images)
    trained = Training(files.name, found.accuracy, 0.0, right=found.right)
    records.write(files.result, trained)
    return trained
