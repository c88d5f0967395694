"""A network for other programs: one file per format, one word in EXPORTS.

Every export is loaded back and its outputs compared with our module's before it is called done.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bneck.errors import BneckError, UsageError
from bneck.files import write_whole
from bneck.imports import cannot_load
from bneck.path_checks import check_beside, check_new_file
from bneck.results.record import Int8
from bneck.space.architecture import Architecture
from bneck.space.checks import check_word
from bneck.text import number_of

if TYPE_CHECKING:
    from torch import Tensor


class Format(NamedTuple):
    """A kind of file: the module with ``write(trained, path) -> Exported``, and its suffixes.

    Formats in 8 bits need ``Samples``. ``beside`` is the suffix of a second file, for some, and
    ``libraries`` are those that are not installed with bneck.
    """

    module: str
    suffixes: tuple[str, ...]
    in_8_bits: bool = False
    beside: str | None = None
    libraries: tuple[str, ...] = ()


_LITERT = ("ai_edge_litert", "flatbuffers")
EXPORTS = {
    "executorch": Format("executorch", (".pte",), libraries=("executorch",)),
    "onnx": Format("onnx_file", (".onnx",)),
    "onnx-int8": Format("onnx_int8", (".onnx",), in_8_bits=True),
    "pytorch": Format("pytorch_code", (".py",), beside=".safetensors"),
    "tflite": Format("tflite_file", (".tflite",), libraries=_LITERT),
    "tflite-int8": Format(
        "tflite_int8", (".tflite",), in_8_bits=True, libraries=(*_LITERT, "ai_edge_quantizer")
    ),
    "torch-export": Format("torch_export", (".pt2",)),
    "torchscript": Format("torchscript", (".pt", ".pth", ".ts"), beside=".ops.yaml"),
    "torchvision": Format("torchvision_code", (".py",), beside=".safetensors"),
}
"""Word -> the format."""
IN_8_BITS = {"litert-int8": "tflite-int8", "onnxruntime-int8": "onnx-int8"}
"""Runtime in 8 bits -> the format that it runs."""
NEEDS_IMAGES = "8-bit ranges are found on images: give a run's folder, and keep its images in place"
IMPORTED = {"bneck", "numpy", "safetensors", "torch", "torchvision", *sys.stdlib_module_names}
"""Modules that exported code, or what it imports, must find under these names."""

TOLERANCE = 1e-4
"""Largest difference from our module, for formats in floats."""

Batches = Callable[[], "Iterator[tuple[Tensor, Tensor]]"]
"""Called, it yields pieces of a part: float32 (B, 3, px, px), normalised, and int64 (B,) labels."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Images of a run's data, for formats in 8 bits.

    Attributes:
        ranges: training images, on which the ranges of activations are found.
        choice: other training images, by which one of several ways of quantising is chosen.
        validation: the images that the accuracy is counted on.
    """

    ranges: Batches
    choice: Batches
    validation: Batches


@dataclass(frozen=True)
class Trained:
    """A network with its weights, and what those who use it must know.

    Attributes:
        state: tensors by our state names.
        notes: written into the file where the format has a place for them: ``classes``, ``mean``
            and ``std`` as JSON, ``accuracy``, ``latency_ms``, ``run``.
        samples: images of the run's data, for formats that need some.
    """

    arch: Architecture
    state: Mapping[str, Any]
    notes: Mapping[str, str] = field(default_factory=dict)
    samples: Samples | None = None

    def metadata(self) -> dict[str, str]:
        """Return the texts that a file carries: the notes, and the network as bneck's JSON."""
        architecture = json.dumps(self.arch.to_json(), separators=(",", ":"))
        return {**self.notes, "architecture": architecture}


@dataclass(frozen=True, slots=True)
class Exported:
    """How an exported file agrees with the network that it was made of.

    Attributes:
        difference: of its outputs from our module's: the largest, as a share of the largest output;
            in 8 bits the root mean square, as a share of the outputs'.
        int8: for formats in 8 bits, what they cost.
    """

    difference: float
    int8: Int8 | None = None


def _without_denormals(trained: Trained) -> tuple[Trained, int]:
    """The same with denormal weights as zeros, and how many there were.

    Their bits tell: as numbers they are zeros to a thread that has opened an ONNX file.
    """
    import torch

    found, state = 0, {}
    for name, tensor in trained.state.items():
        state[name] = tensor
        if tensor.dtype == torch.float32:
            bits = tensor.contiguous().view(torch.int32) & 0x7FFFFFFF  # without the sign
            denormal = (bits > 0) & (bits < 0x00800000)  # no exponent
            if count := int(denormal.sum()):
                found += count
                state[name] = tensor.masked_fill(denormal, 0.0)
    return replace(trained, state=state), found


def _is_rounding(off: float, trained: Trained) -> bool:
    """Whether two computations in float32, each as far off as rounding takes it, differ so much."""
    from bneck.results.exports.checking import rounding

    return off <= 2 * rounding(trained)


def load(to: str) -> Any:
    """Import the module of a format, and with it the libraries that it needs.

    Raises:
        UsageError: one of them is not installed.
    """
    try:
        return import_module(f"{__name__}.{EXPORTS[to].module}")
    except ImportError as error:
        raise cannot_load("export format", to, error) from None


def check_new_export(to: str, path: Path) -> None:
    """Raise an error for an unknown format, a name that does not fit it, or no place for a file.

    A library that is missing is named too; none is imported.
    """
    check_word("export format", to, EXPORTS)
    suffixes = EXPORTS[to].suffixes
    if path.suffix not in suffixes:
        others = [word for word, one in EXPORTS.items() if path.suffix in one.suffixes]
        hint = f"; {path.suffix} is written by --to {' or '.join(others)}" if others else ""
        raise UsageError(f"a file of {to} ends in {' or '.join(suffixes)}, got {str(path)!r}{hint}")
    if path.suffix == ".py" and path.stem in IMPORTED:
        raise UsageError(f"{path.name} would hide the module {path.stem}: use another name")
    for name in EXPORTS[to].libraries:
        if find_spec(name) is None:
            missing = ImportError(f"No module named {name!r}", name=name)
            raise cannot_load("export format", to, missing)
    check_new_file(path)
    if (beside := EXPORTS[to].beside) is not None:
        check_beside(path, beside)


def export(trained: Trained, to: str, path: Path) -> Exported:
    """Write ``trained`` to ``path`` and return how the file agrees with it.

    It is written and checked elsewhere: of one that fails nothing is left, and what was at ``path``
    stays.

    Args:
        trained: the network with its weights.
        to: a format of EXPORTS.
        path: the file, with a suffix of the format.

    Raises:
        UsageError: an unknown format, a file name that does not fit it, or a network that the
            format cannot express.
        BneckError: the file gives other outputs than our module. Of 8 bits only the accuracy is
            told: what they may cost is for the user to judge.
    """
    check_new_export(to, path)
    module = load(to)
    trained, denormals = _without_denormals(trained)
    if denormals:
        print(
            f"{path}: {number_of(denormals, 'weight')} below 1.2e-38 "
            f"{'is' if denormals == 1 else 'are'} written as 0, as the network would be many times "
            "slower",
            file=sys.stderr,
        )
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, path.name)
        exported: Exported = module.write(trained, written)
        off = exported.difference
        if not (EXPORTS[to].in_8_bits or off <= TOLERANCE or _is_rounding(off, trained)):
            raise BneckError(f"{path}: the {to} export differs from the network by {off:.2g}")
        for suffix in filter(None, (path.suffix, EXPORTS[to].beside)):
            write_whole(path.with_suffix(suffix), written.with_suffix(suffix).read_bytes())
    return exported
