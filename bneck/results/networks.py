"""What a network argument means: a preset's name, a JSON file, or a run's folder."""

from pathlib import Path

from bneck.errors import UsageError, did_you_mean
from bneck.files import is_binary, is_written
from bneck.results.run import Run
from bneck.results.run_folder import is_run
from bneck.space import codec, presets
from bneck.space.architecture import Architecture

_TO_WEIGHTS = "a file of weights", "; --weights and --pretrained take it"
_OTHERS = {
    ".onnx": (
        "an ONNX file",
        "; `bneck latency --onnx FILE --measure`, `compare` and `evaluate` take it",
    ),
    ".tflite": ("a LiteRT file, which bneck writes and does not read", ""),
    ".safetensors": _TO_WEIGHTS,
    ".pt": _TO_WEIGHTS,
    ".pth": _TO_WEIGHTS,
}
"""Suffix -> what a file holds that is taken for a network, and what takes it."""


def load_network(
    text: str,
    *,
    width: float | None = None,
    resolution_px: int | None = None,
    classes: int | None = None,
) -> Architecture:
    """Return the network that an argument means.

    Args:
        text: a preset's name, a JSON file or a run's folder.
        width: a preset's width multiplier; None takes 1.
        resolution_px: another input side; None keeps the network's own.
        classes: another class count; None keeps the network's own.

    Raises:
        UsageError: neither a preset nor a JSON file nor a run's folder, or a width for the latter.
    """
    if text in presets.PRESETS:
        arch = presets.build(text, width=1.0 if width is None else width)
        return arch.at(resolution_px=resolution_px, classes=classes)
    if width is not None:
        raise UsageError(f"--width {width:g} is for presets, and {text!r} is not one")
    return _from_path(text).at(resolution_px=resolution_px, classes=classes)


def network_name(text: str, width: float | None) -> str:
    """Return what output calls a network argument: a preset at a width is "mobilenet_v2 x0.5"."""
    return text if width is None else f"{text} x{width:g}"


def _from_path(text: str) -> Architecture:
    path = Path(text)
    if path.is_dir():
        run = Run.read(path)
        if is_written(run.network):
            return codec.load(run.network)
        if is_written(run.result):  # whose figures are not those of the search's network
            raise UsageError(f"{run.network} is missing: copy all files of the run")
        if is_written(run.seed):
            return codec.load(run.seed)
        run.check_single()
        raise UsageError(f"the run {text} has no network yet; run its command again to resume it")
    in_run = is_run(path.parent)
    expected = "expected a preset, a network's JSON file or a run's folder"
    expected += f", which is {path.parent} here" if in_run else ""
    if path.is_file() and (path.suffix == ".onnx" or is_binary(path)):
        what, use = _OTHERS.get(path.suffix, ("a binary file", ""))
        raise UsageError(f"{text} is {what}; {expected}{use}")
    if path.suffix == ".json" or path.is_file():
        try:
            return codec.load(path)
        except UsageError as error:
            if path.suffix == ".json" and not in_run:
                raise
            raise UsageError(f"{error}; {expected}") from None
    known = ", ".join(presets.PRESETS)
    raise UsageError(
        f"{text!r} is not a network; expected a JSON file, a run's folder or one of: {known}"
        f"{did_you_mean(text, presets.PRESETS)}"
    )
