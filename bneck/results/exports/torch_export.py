"""A torch.export program (``.pt2``), batch size free: for ExecuTorch and AOTInductor."""

from pathlib import Path

import torch

from bneck.files import write_with
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import difference, images, network


def write(trained: Trained, path: Path) -> Exported:
    """Export the network with its notes as extra files, load the file back and compare."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        network(trained), (images(trained),), dynamic_shapes=({0: batch},)
    )

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.export.save(program, file, extra_files=trained.metadata())

    write_with(path, save)
    with path.open("rb") as file:
        return Exported(difference(trained, torch.export.load(file).module()))
