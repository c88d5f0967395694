"""ExecuTorch (``.pte``) for PyTorch's runtime on phones, run by XNNPACK: one image, NCHW."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bneck.files import write_whole
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import difference, images, network

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime


def write(trained: Trained, path: Path) -> Exported:
    """Lower the network to XNNPACK, run the file by ExecuTorch's Python runtime and compare.

    A convolution that XNNPACK does not take is said: it is run by slow portable code.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network(trained), (images(trained)[:1],))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        left = [
            node.name
            for node in lowered.exported_program().graph.nodes
            if node.op == "call_function" and "convolution" in str(node.target)
        ]
        data = bytes(lowered.to_executorch().buffer)
    if left:
        print(f"{path.name}: not run by XNNPACK: {', '.join(left)}", file=sys.stderr)
    worst = difference(trained, runner(data))
    write_whole(path, data)
    return Exported(worst)


def runner(data: bytes) -> Callable[[Tensor], Tensor]:
    """ExecuTorch on a file: (N, 3, px, px) images -> (N, classes) logits, one by one."""
    method = Runtime.get().load_program(data).load_method("forward")

    def run(pixels: Tensor) -> Tensor:
        return torch.cat([method.execute([one.contiguous()])[0].clone() for one in pixels.split(1)])

    return run
