"""TorchScript, for mobile builds that take nothing else, with the operators they must hold."""

import warnings
from pathlib import Path

import torch

from bneck.files import write_whole
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import difference, images, network


def write(trained: Trained, path: Path) -> Exported:
    """Trace the network, load the file back and compare.

    Beside it goes a YAML list of its operators (``.ops.yaml``), which PyTorch's custom builds
    take as ``SELECTED_OP_LIST`` to leave all others out. The notes are extra files of the archive.
    """
    with warnings.catch_warnings():
        # torch names torch.export as the successor; this format is what was asked for.
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        script = torch.jit.freeze(torch.jit.trace(network(trained), images(trained)))
        write_whole(path, script.save_to_buffer(trained.metadata()))
        loaded = torch.jit.load(path)
        operators = sorted(torch.jit.export_opnames(loaded))
    lines = "".join(f"- {name}\n" for name in operators)
    write_whole(path.with_suffix(".ops.yaml"), lines)
    return Exported(difference(trained, loaded))
