"""How an export is compared with the network it was made of."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import save
from torch import Tensor

from bneck.files import write_whole
from bneck.results.exports import Exported, Trained
from bneck.space.backends.torch_model import Network

IMAGES = 2
ROUNDED = 8
"""Networks with other roundings, by which it is told what rounding does."""


def network(trained: Trained) -> Network:
    """Our module with the weights, ready to be run."""
    module = Network(trained.arch)
    module.load_state_dict(dict(trained.state))
    return module.eval()


def images(trained: Trained) -> Tensor:
    """(2, 3, resolution, resolution) seeded noise."""
    side = trained.arch.resolution_px
    return torch.randn(IMAGES, 3, side, side, generator=torch.Generator().manual_seed(0))


def difference(trained: Trained, other: Callable[[Tensor], Tensor]) -> float:
    """Largest absolute difference of the logits, relative to the largest logit."""
    x = images(trained)
    with torch.no_grad():
        return _apart(network(trained)(x), other(x))


def rounding(trained: Trained) -> float:
    """How far from the true outputs a computation in float32 may end, as ``difference`` counts.

    The true ones are of float64. Compared are our module in float32 and eight more of it, all of
    whose weights are changed at random by up to half of float32's epsilon, as rounding changes
    them. Batch norms that have seen next to no variance, as after very few training steps, enlarge
    what they are given by up to 1 / sqrt(eps) each, and with it the roundings of the layers below.
    """
    x, draw = images(trained), torch.Generator().manual_seed(0)
    half_eps = torch.finfo(torch.float32).eps / 2
    with torch.no_grad():
        true = network(trained).double()(x.double())
        worst = _apart(true, network(trained)(x))
        for _ in range(ROUNDED):
            module = network(trained)
            for weight in module.parameters():
                change = torch.rand(weight.shape, generator=draw, dtype=torch.float64) * 2 - 1
                weight.copy_(weight.double() * (1 + half_eps * change))
            worst = max(worst, _apart(true, module(x)))
    return worst


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest absolute difference, relative to the largest of ours."""
    return float((ours - theirs).abs().max() / ours.abs().max().clamp_min(1e-3))


def facts(trained: Trained) -> str:
    """Lines of Python: the classes and the normalisation, as far as they are known."""
    names = {"CLASSES": "classes", "MEAN": "mean", "STD": "std"}
    notes = trained.notes
    known = [f"{name} = {json.loads(notes[key])!r}" for name, key in names.items() if key in notes]
    return "".join(f"\n{line}" for line in known)


def write_python(
    trained: Trained,
    path: Path,
    source: str,
    convert: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
) -> Exported:
    """Write a module with ``build(weights)`` and its weights, import it and compare.

    Args:
        trained: the network with its weights.
        path: the module's file; the weights go beside it, as ``.safetensors``.
        source: the module's code.
        convert: turns the names and shapes of a fresh network of the module into its weights.
    """
    write_whole(path, source)
    module = _imported(path)
    tensors = {
        name: tensor.contiguous()
        for name, tensor in convert(module.build(weights=None).state_dict()).items()
    }
    write_whole(path.with_suffix(".safetensors"), save(tensors))
    return Exported(difference(trained, module.build().eval()))


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with torch.device("cpu"):
        spec.loader.exec_module(module)
    return module
