"""The network that NetAdapt begins with: whether it is fast enough as it is, and its training."""

from collections.abc import Sequence
from pathlib import Path

from bneck import records
from bneck.derivation.session import Session
from bneck.derivation.stages.kept_training import keep_trained, train_and_keep
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.training_budget import Budget
from bneck.files import is_written
from bneck.netadapt.rules import meets
from bneck.proxies.data.worker_images import for_proxies
from bneck.quantities import Latency
from bneck.results.run_files import SEED_NETWORK
from bneck.results.stage_record import Shrunk, Training
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.parent import Parent


def met_by_seed(
    seed_network: Architecture,
    targets_ms: Sequence[float],
    device: TargetDevice,
    *,
    given: bool,
    kept: Path,
) -> tuple[Shrunk, ...]:
    """Return the seed network as it is for every target, if it measures at or under all of them.

    Args:
        seed_network: as it was given, or found by a search.
        targets_ms: the targets.
        device: measures it.
        given: which of the two.
        kept: the file that keeps what it measures, which is not measured again.
    """
    latency = _at_most(seed_network, device, kept)
    if not meets(latency, min(targets_ms), device.repeat_error(), given=given):
        return ()
    measured = None if device.only_predicts(seed_network) else latency
    predicted = device.model.predict(seed_network)
    return tuple(
        Shrunk(target_ms, seed_network, 0, predicted, measured, None, True)
        for target_ms in targets_ms
    )


def seed_training(
    session: Session, asked: Budget, seed_network: Architecture, parent: Parent | None
) -> tuple[Training, weights.State]:
    """Train the seed network as the search trains, unless all its weights are inherited.

    Args:
        session: the run, which keeps the training.
        asked: how it is trained.
        seed_network: the network.
        parent: the trained network that it inherits from; None trains it from random weights.
    """
    files = session.run.training(SEED_NETWORK)
    images = for_proxies(asked.images)
    seed = session.plan.seed
    start = parent.weights_for(seed_network, seed=seed).state if parent is not None else None
    if parent is not None and start is not None and parent.is_like(seed_network):
        return keep_trained(seed_network, start, images, files), start
    session.executor.rest()  # a GPU's memory that idle workers hold is missing here
    return train_and_keep(
        seed_network,
        images,
        asked.search,
        files,
        seed=seed,
        progress=session.progress,
        compute=session.compute_here(),
        start=start,
    )


def _at_most(seed_network: Architecture, device: TargetDevice, kept: Path) -> Latency:
    """What the seed network takes at most."""
    if device.only_predicts(seed_network):
        return device.at_most(seed_network)
    if not is_written(kept):
        records.write(kept, device.at_most(seed_network))
    return records.read(kept, Latency)
