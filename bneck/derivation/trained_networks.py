"""Networks with their weights, and what the run that they are from says about them."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.files import check_file, is_written, naming, read_json
from bneck.results import metadata
from bneck.results.run import PLAN, Run
from bneck.space import codec
from bneck.space.architecture import Architecture

if TYPE_CHECKING:
    from bneck.results.exports import Trained
    from bneck.space.backends.weights import State

RANGE_IMAGES = 128
"""Training images on which 8-bit ranges are found."""


def load_trained(
    text: str, file: Path | None, arch: Architecture, *, seed: int, with_images: bool = False
) -> "Trained":
    """``arch`` with its weights (as ``load_weights``) and what the run says about it, if any.

    Args:
        with_images: also take some of the run's training images along, for 8-bit ranges.
    """
    from bneck.results.exports import Trained

    state = load_weights(text, file, arch, seed=seed)
    if not (Path(text) / PLAN).is_file() or file is not None:
        return Trained(arch, state)
    run = Run.read(Path(text))
    about = metadata.notes(run)
    if is_written(run.onnx):  # earlier versions noted the normalisation nowhere else
        from bneck.results.exports import onnx_file
        from bneck.space.backends import onnx_parsing

        with naming(run.onnx):
            about = onnx_file.notes(onnx_parsing.read(run.onnx)) | about
    if arch != codec.load(run.network):
        about = {name: note for name, note in about.items() if name not in metadata.MEASURED}
    images = None
    if with_images:
        from bneck.proxies.data import loading

        run_seed = int(str(run.plan["seed"]))  # which parts the run's images
        whole = loading.load(str(run.plan["data"]), resolution_px=arch.resolution_px, seed=run_seed)
        if not whole.info.is_what(kept := read_json(run.images)):
            print(
                f"warning: {run.plan['data']} has changed: 8-bit ranges are found on other images "
                f"than the run was trained on (fingerprint {whole.info.fingerprint} now, "
                f"{kept['fingerprint']} then)",
                file=sys.stderr,
            )
        part = whole.subset(seed=seed, train=RANGE_IMAGES)
        if "mean" in about:
            part = part.normalised_with(json.loads(about["mean"]), json.loads(about["std"]))
        images = part.normalise(part.train.pixels()).contiguous()
    return Trained(arch, state, about, images)


def load_weights(text: str, file: Path | None, arch: Architecture, *, seed: int) -> "State":
    """The weights of ``arch``: from ``file``, else from the run that ``text`` names, else random.

    Args:
        text: what names the network; only a run's folder has weights.
        file: bneck's own (``.safetensors``) or torchvision's weights; None takes the run's, if any.
        arch: the network that the weights must fit.
        seed: of random weights.

    Raises:
        UsageError: the file's first tensor that does not fit.
    """
    of_run = Run(Path(text), {}).weights
    if file is None and of_run.is_file():
        file = of_run
    if file is not None:
        check_file(file)
    from bneck.space.backends import (  # torch: after the mistakes
        torch_model,
        torchvision_weights,
        weights,
    )

    if file is None:
        return torch_model.build(arch, seed=seed).state_dict()
    if file.suffix == ".safetensors":
        return weights.load(file, arch)
    return torchvision_weights.load(file, arch)
