"""Networks with their weights, and what the run that they are from says about them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.derivation.run_images import images_of, warn_if_changed
from bneck.errors import UsageError
from bneck.files import is_written, naming
from bneck.live import warn
from bneck.path_checks import check_file
from bneck.progress import Progress, silent
from bneck.results import metadata
from bneck.results.networks import load_network
from bneck.results.run import Run
from bneck.results.run_folder import is_run
from bneck.space import codec
from bneck.space.architecture import Architecture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bneck.results.exports import Samples, Trained
    from bneck.space.backends.weights import State


def load_trained(
    text: str,
    file: Path | None,
    arch: Architecture,
    *,
    seed: int,
    with_samples: bool,
    progress: Progress = silent,
) -> "Trained":
    """Return ``arch`` with its weights (as ``load_weights``) and what its run says about it.

    Args:
        text: what names the network.
        file: its weights; None takes the run's.
        arch: the network.
        seed: of random weights, and of which images are taken along.
        with_samples: take images of the run along, for formats in 8 bits.
        progress: told about the images.

    Raises:
        UsageError: as ``load_weights``, images are asked for and ``text`` is not a run, or nothing
            readable says what classes and normalisation the run has.
    """
    from bneck.results.exports import NEEDS_IMAGES, Trained

    of_run = file is None and is_run(text)
    if with_samples and not of_run:
        raise UsageError(NEEDS_IMAGES)
    state = load_weights(text, file, arch, seed=seed)
    if not of_run:
        return Trained(arch, state)
    run = Run.read(Path(text))
    about = _notes(run)
    if arch != codec.load(run.network):
        about = {name: note for name, note in about.items() if name not in metadata.MEASURED}
    samples = _samples(run, arch, about, seed, progress) if with_samples else None
    return Trained(arch, state, about, samples)


def _notes(run: Run) -> dict[str, str]:
    """Notes on a run's network, those in its ONNX file included; warns where that is damaged.

    Raises:
        UsageError: that file is damaged, and nothing else says how pictures are brought to the
            network, as in runs of earlier versions.
    """
    about = metadata.notes(run)
    if not is_written(run.onnx):
        return about
    from bneck.results.exports import onnx_notes
    from bneck.space.backends import onnx_parsing

    try:
        model = onnx_parsing.read(run.onnx)
        with naming(run.onnx):
            return onnx_notes.notes(model) | about
    except UsageError as error:
        if not about.keys() >= set(metadata.OF_PICTURES):
            raise
        warn(f"{error}: what only that file said of the network is left out")
        return about


def _samples(
    run: Run, arch: Architecture, about: Mapping[str, str], seed: int, progress: Progress
) -> "Samples":
    """Images of the run, normalised as its network takes them; warns where they have changed.

    Args:
        run: the run.
        arch: the network, which has the side that the images are brought to.
        about: notes, with the normalisation where it is known.
        seed: decides which training images are taken.
        progress: told how many were looked at.
    """
    from bneck.search.quantised import samples_of

    images = images_of(run, arch.resolution_px, progress)
    if "mean" in about:
        images = images.normalised_with(json.loads(about["mean"]), json.loads(about["std"]))
    but = "8-bit ranges are found, and accuracy is counted, on other images than the run's"
    warn_if_changed(run, images.info, but)
    return samples_of(images.for_training(), seed=seed, progress=progress)


def load_weights(text: str, file: Path | None, arch: Architecture, *, seed: int = 0) -> "State":
    """Return the weights of ``arch``: from ``file``, else the run that ``text`` names, else random.

    Random ones are said on stderr.

    Args:
        text: what names the network; only a run's folder has weights.
        file: bneck's own weights (``.safetensors``) or torchvision's (that, or a state dict); None
            takes the run's, if any.
        arch: the network that the weights must fit.
        seed: of random weights.

    Raises:
        UsageError: the file's first tensor that does not fit or is not finite, or a run without
            trained weights.
    """
    if file is None and is_run(text):
        file = _weights_of(Run.read(Path(text)))
    if file is not None:
        check_file(file)
    from bneck.space.backends import (  # torch: after the mistakes
        torch_model,
        torchvision_weights,
        weights,
    )

    if file is None:
        warn(f"{text} has random weights: for trained ones give --weights, or a run's folder")
        return torch_model.build(arch, seed=seed).state_dict()
    ours = file.suffix == ".safetensors" and not torchvision_weights.are_in(weights.read(file))
    load = weights.load if ours else torchvision_weights.load
    state = load(file, arch)
    weights.check_finite(state, file)
    return state


def own_weights(text: str, arch: Architecture) -> "dict[str, NDArray[np.float32]] | None":
    """Return the weights that a run trained ``arch`` to, by which it is timed.

    None where there are none: of anything but a run, of one that has trained none yet, and where
    ``arch`` is the run's network at another side or for other classes.

    Raises:
        UsageError: weights that do not fit or are not finite.
    """
    if not is_run(text):
        return None
    run = Run.read(Path(text))
    if not is_written(run.weights) or load_network(text) != arch:
        return None
    from bneck.space.backends import weights  # torch

    return weights.arrays(load_weights(text, None, arch))


def _weights_of(run: Run) -> Path:
    """The file of a run's trained weights; random ones would pass for them.

    Whoever resumes a stopped run may train them further, which is said.
    """
    if not is_written(run.weights):
        raise UsageError(
            f"{run.folder} has no trained weights: the run is {run.read_state()}; name a network's "
            "JSON file for random ones"
        )
    if run.read_state() == "stopped":
        warn(f"{run.folder} was stopped before its end: its weights may not be the final ones")
    return run.weights
