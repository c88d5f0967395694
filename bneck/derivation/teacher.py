"""What ``--teacher`` names: a trained network, as ``--pretrained`` does, an ONNX file, or seed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.derivation.plan import Plan
from bneck.derivation.pretrained import BY_IMAGENET, check_pretrained, load_pretrained
from bneck.errors import UsageError
from bneck.files import naming
from bneck.path_checks import check_file
from bneck.proxies.data.image_info import ImageInfo
from bneck.results.run_folder import is_run
from bneck.text import number_of

if TYPE_CHECKING:  # torch, which checking a word does not need
    from bneck.proxies.training.teacher import Teacher

ONNX = ".onnx"
SEED = "seed"
"""The network that the run's search finds, trained before the one that NetAdapt makes of it."""


def check_teacher(plan: Plan) -> None:
    """Raise UsageError for a teacher that cannot be, as far as can be said without torch."""
    text = plan.teacher
    if text is None:
        return
    if text == SEED:
        if not plan.aimed_at:
            raise UsageError(f"--teacher {SEED} is the network that derive searches for")
    elif Path(text).suffix == ONNX:
        check_file(Path(text))
    else:
        others = f"{SEED}, an ONNX file, " if plan.aimed_at else "an ONNX file, "
        check_pretrained(text, plan.space, plan.seed_network, kind="teacher", others=others)


def load_teacher(plan: Plan, images: ImageInfo) -> "Teacher | None":
    """Return the plan's teacher; None where it has none.

    Args:
        plan: names it, and not the seed.
        images: what it must know the classes of, at its own input side.

    Raises:
        UsageError: it cannot be read, has other classes, or takes another input side.
        BneckError: torchvision's weights cannot be downloaded.
    """
    text = plan.teacher
    if text is None:
        return None
    if Path(text).suffix == ONNX:
        return _of_onnx(Path(text), images)
    from bneck.proxies.training.teacher import Teacher
    from bneck.space.backends import weights

    found = load_pretrained(text, plan.space, plan.seed_network)
    if not found.has_classes(images.class_names):
        raise _other_classes(text, found.arch.classes, images)
    if is_run(text):
        _check_side(text, found.arch.resolution_px, images)
    mean, std = found.normalisation or (None, None)
    return Teacher(
        found.arch.at(resolution_px=images.resolution_px),
        weights.to_bytes(found.state),
        None if mean is None else tuple(mean),
        None if std is None else tuple(std),
    )


def _of_onnx(path: Path, images: ImageInfo) -> "Teacher":
    """An ONNX file; without notes of bneck it takes images as torchvision's networks do."""
    from bneck.proxies.training.teacher import Teacher
    from bneck.results.exports import onnx_notes
    from bneck.space.backends import onnx_parsing

    model = onnx_parsing.read(path)
    with naming(path):
        notes = onnx_notes.notes(model)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or shape[1] != 3:
        raise UsageError(f"{path} takes {shape}, not images of three channels (N, 3, side, side)")
    if shape[0]:
        raise UsageError(f"{path} takes {shape[0]} image at a time; a teacher needs a free batch")
    _check_side(str(path), shape[2] or images.resolution_px, images)
    logits = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    if len(logits) != 2:
        raise UsageError(f"{path} gives {logits}, not a number for each class (N, classes)")
    classes = logits[1]
    names = json.loads(notes["classes"]) if "classes" in notes else None
    if classes != images.classes or (names is not None and tuple(names) != images.class_names):
        raise _other_classes(str(path), classes, images)
    known = "mean" in notes and "std" in notes
    mean, std = (json.loads(notes["mean"]), json.loads(notes["std"])) if known else BY_IMAGENET
    return Teacher(None, model.SerializeToString(), tuple(mean), tuple(std))


def _check_side(text: str, side: int, images: ImageInfo) -> None:
    if side != images.resolution_px:
        raise UsageError(
            f"the teacher {text} takes images of {side} px, and these are of "
            f"{images.resolution_px} px: --resolution {side}"
        )


def _other_classes(text: str, count: int, images: ImageInfo) -> UsageError:
    others = "others" if count == images.classes else str(images.classes)
    return UsageError(
        f"the teacher {text} has {number_of(count, 'class')}, {images.name} has {others}"
    )
