"""The spaces that can be searched, as tables around the published skeletons."""

from collections.abc import Callable
from dataclasses import dataclass

from bneck.errors import BneckError, UsageError, unknown
from bneck.imports import Untrusted, check_call, load_object
from bneck.space.architecture import Architecture
from bneck.space.benchmark_spaces import accel_nasbench, nas_bench_macro
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.blocks.inverted_residual import inverted_residual
from bneck.space.checks import check_classes, check_resolution
from bneck.space.choices import Choices, Parents, Space, Values
from bneck.space.cpu_small import cpu_small
from bneck.space.heads import ConvPoolLinear, ConvPoolLinearLinear, Head


@dataclass(frozen=True, slots=True)
class Stage:
    """The choices of one stage; ``ratios`` are expansion widths over the block's input width."""

    stride: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    ratios: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    se: tuple[bool, ...] = (False, True)
    activations: tuple[str, ...] = ("relu", "hswish")


# Around V3's tables 1 and 2: stride, widths, depths, expansion ratios
V3_SMALL = (
    Stage(2, widths=(8, 16, 24), depths=(1,), ratios=(1, 2, 4)),
    Stage(2, widths=(16, 24, 32), depths=(1, 2, 3), ratios=(2, 3, 4, 6)),
    Stage(2, widths=(32, 40, 48), depths=(2, 3, 4), ratios=(2, 3, 4, 6)),
    Stage(1, widths=(40, 48, 64), depths=(1, 2, 3), ratios=(2, 3, 4, 6)),
    Stage(2, widths=(80, 96, 112), depths=(2, 3, 4), ratios=(2, 3, 4, 6)),
)
V3_LARGE = (
    Stage(1, widths=(8, 16, 24), depths=(1,), ratios=(1, 2, 4)),
    Stage(2, widths=(16, 24, 32), depths=(1, 2, 3), ratios=(2, 3, 4, 6)),
    Stage(2, widths=(32, 40, 48), depths=(2, 3, 4), ratios=(2, 3, 4, 6)),
    Stage(2, widths=(64, 80, 96), depths=(3, 4, 5), ratios=(2, 3, 4, 6)),
    Stage(1, widths=(96, 112, 128), depths=(1, 2, 3), ratios=(2, 3, 4, 6)),
    Stage(2, widths=(128, 160, 192), depths=(2, 3, 4), ratios=(2, 3, 4, 6)),
)

# MnasNet section 4.1 around A1: depth +-1, widths 0.75, 1 and 1.25 times, kernels 3 and 5
_K, _RELU = (3, 5), ("relu",)
MNASNET = (
    Stage(1, (16,), (1,), (1,), (3,), (False,), _RELU),
    Stage(2, (16, 24, 32), (1, 2, 3), (1, 3, 6), _K, activations=_RELU),
    Stage(2, (32, 40, 48), (2, 3, 4), (1, 3, 6), _K, activations=_RELU),
    Stage(2, (64, 80, 96), (3, 4, 5), (1, 3, 6), _K, activations=_RELU),
    Stage(1, (88, 112, 144), (1, 2, 3), (1, 3, 6), _K, activations=_RELU),
    Stage(2, (120, 160, 200), (2, 3, 4), (1, 3, 6), _K, activations=_RELU),
    Stage(1, (240, 320, 400), (1,), (1, 3, 6), _K, activations=_RELU),
)


def build(name: str, *, resolution_px: int = 224, classes: int = 1000) -> Space:
    """Build a space by name.

    Args:
        name: a key of ``SPACES``.
        resolution_px: side of the images, 8 to 2048 px.
        classes: number of classes, 2 to 100,000.

    Raises:
        UsageError: unknown name, a side or class count out of range, or a space of someone's own
            that makes other networks.
    """
    check_resolution(resolution_px)
    check_classes(classes)
    space = _made(name, resolution_px, classes)
    arch = space.decode(space.sample(0))
    if not isinstance(arch, Architecture):
        raise UsageError(f"space {name!r} must build an Architecture, got a {type(arch).__name__}")
    if (arch.resolution_px, arch.classes) != (resolution_px, classes):
        raise UsageError(
            f"space {name!r} must build networks for the {resolution_px} px and {classes} classes "
            f"that it is given, and built one for {arch.resolution_px} px and {arch.classes}"
        )
    return space


def check(name: str) -> None:
    """Raise UsageError unless a space has this name, whatever the images' side and classes."""
    _made(name, 224, 1000)


def _made(name: str, resolution_px: int, classes: int) -> Space:
    if name not in SPACES:
        own = "; bneck.space.spaces.load_own loads one of your own, see docs/extending.md"
        raise unknown("space", name, SPACES, own if ":" in name else "")
    try:
        space = SPACES[name](name, resolution_px, classes)
    except BneckError:
        raise
    except Exception as error:  # of a user's own function
        raise UsageError(f"space {name!r} raises {type(error).__name__}: {error}") from error
    if not isinstance(space, Space):
        raise UsageError(f"space {name!r} must return a Space, got a {type(space).__name__}")
    return space


def load_own(word: str) -> None:
    """Import a space named as ``package.module:attr``, so that ``build`` finds it under that name.

    The attribute is a function like those of ``SPACES``, looked up each time: in a notebook it may
    be another one by now. For names that the user gives, never for names read from a file:
    importing runs the module's code.

    Raises:
        UsageError: the module cannot be imported, or has no such function.
    """
    if word in SPACES and (":" not in word or isinstance(word, Untrusted)):
        return
    make = load_object("space", word, list(SPACES))
    if not callable(make):
        raise UsageError(f"space {word!r} must be a function, got a {type(make).__name__}")
    check_call("space", word, make, word, 224, 1000)
    SPACES[word] = make


def _v3(stages: tuple[Stage, ...], hidden: int) -> Callable[[str, int, int], Space]:
    """Chosen block by block; squeeze-excite and head are V3's (six times the last width)."""

    def space(name: str, resolution_px: int, classes: int) -> Space:
        def decode(values: Values) -> Architecture:
            stem = PlainConv(3, 16, 2, "hswish")
            blocks = _blocks(stages, values, stem.out, "expansion", "hsigmoid", by_block=True)
            head = ConvPoolLinearLinear(6 * blocks[-1][-1].out, hidden)
            return Architecture(stem, blocks, head, classes, resolution_px, "bn_v3")

        choices, parents = _choices(stages, by_block=True)
        return Space(name, choices, decode, parents)

    return space


def _v3_small_plain(name: str, resolution_px: int, classes: int) -> Space:
    """The same before V3's hand-made steps (sections 5.1 and 5.2), which are choices here.

    A "late" head has its wide convolution before the pool, as MnasNet has it.
    """

    def decode(values: Values) -> Architecture:
        stem = PlainConv(3, int(values["stem.width"]), 2, str(values["stem.activation"]))
        blocks = _blocks(V3_SMALL, values, stem.out, "expansion", "hsigmoid", by_block=True)
        head: Head = ConvPoolLinear(1024, "hswish")
        if values["head.form"] == "rebuilt":
            head = ConvPoolLinearLinear(6 * blocks[-1][-1].out, 1024)
        return Architecture(stem, blocks, head, classes, resolution_px, "bn_v3")

    choices, parents = _choices(V3_SMALL, by_block=True)
    ends: Choices = {
        "stem.width": (16, 32),
        "stem.activation": ("relu", "hswish"),
        "head.form": ("late", "rebuilt"),
    }
    return Space(name, ends | choices, decode, parents)


def _mnasnet(name: str, resolution_px: int, classes: int) -> Space:
    """Factorised: the blocks of a stage are alike (MnasNet, section 4.1)."""

    def decode(values: Values) -> Architecture:
        stem = PlainConv(3, 32, 2)
        blocks = _blocks(MNASNET, values, stem.out, "input", "sigmoid", by_block=False)
        return Architecture(stem, blocks, ConvPoolLinear(1280), classes, resolution_px)

    choices, parents = _choices(MNASNET, by_block=False)
    return Space(name, choices, decode, parents)


def _choices(stages: tuple[Stage, ...], *, by_block: bool) -> tuple[Choices, Parents]:
    """Names, values and conditions: ``s3.b4.kernel`` is live where ``s3.depth`` is at least 4."""
    choices: Choices = {}
    parents: Parents = {}
    for s, stage in enumerate(stages, start=1):
        choices[f"s{s}.width"] = stage.widths
        choices[f"s{s}.depth"] = stage.depths
        for b in range(1, (max(stage.depths) if by_block else 1) + 1):
            prefix = f"s{s}.b{b}" if by_block else f"s{s}"
            for name, values in _block_choices(stage).items():
                choices[f"{prefix}.{name}"] = values
                if b > min(stage.depths):
                    deep_enough = tuple(depth for depth in stage.depths if depth >= b)
                    parents[f"{prefix}.{name}"] = (f"s{s}.depth", deep_enough)
    return choices, parents


def _block_choices(stage: Stage) -> Choices:
    return {
        "kernel": stage.kernels,
        "ratio": stage.ratios,
        "se": stage.se,
        "activation": stage.activations,
    }


def _blocks(
    stages: tuple[Stage, ...], values: Values, channels: int, se: str, gate: str, *, by_block: bool
) -> tuple[tuple[InvertedResidual, ...], ...]:
    built = []
    for s, stage in enumerate(stages, start=1):
        row = []
        for b in range(1, int(values[f"s{s}.depth"]) + 1):
            prefix = f"s{s}.b{b}" if by_block else f"s{s}"
            block = inverted_residual(
                kernel=int(values[f"{prefix}.kernel"]),
                expansion=int(values[f"{prefix}.ratio"]) * channels,
                out=int(values[f"s{s}.width"]),
                stride=stage.stride if b == 1 else 1,
                se=se if values[f"{prefix}.se"] else "none",
                activation=str(values[f"{prefix}.activation"]),
                gate=gate,
            )
            channels = block.out
            row.append(block)
        built.append(tuple(row))
    return tuple(built)


SPACES: dict[str, Callable[[str, int, int], Space]] = {
    "v3-small": _v3(V3_SMALL, hidden=1024),
    "v3-large": _v3(V3_LARGE, hidden=1280),
    "v3-small-plain": _v3_small_plain,
    "cpu-small": cpu_small,
    "mnasnet": _mnasnet,
    "nas-bench-macro": nas_bench_macro,
    "accel-nasbench": accel_nasbench,
}
"""Name -> function of (name, side of the images in px, number of classes)."""
