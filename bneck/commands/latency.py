"""The command ``latency``: a network's, predicted or measured."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bneck.commands.calibrate import kit
from bneck.commands.command import Command
from bneck.commands.common.measuring import DeviceOption, WaitOption
from bneck.commands.common.options import (
    ClassesOption,
    JsonOption,
    ResolutionOption,
    WidthOption,
    check_left_out,
)
from bneck.commands.common.output import print_result
from bneck.derivation.option import OWN
from bneck.errors import UsageError
from bneck.latency.runtimes import RUNTIMES
from bneck.live import TerminalProgress
from bneck.results.networks import load_network
from bneck.space.architecture import block_path
from bneck.text import one_of

FIGURES = (
    "device", "predicted_ms", "std_ms", "measured_ms", "measured_std_ms", "quiet", "note", "batch"
)  # fmt: skip


class _NetByDefault(TyperGroup):
    """``latency NET`` is ``latency net NET``: its options are what ``latency --help`` shows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands:
            args = ["net", *args]
        return super().parse_args(ctx, args)


def net(
    net: Annotated[
        str | None,
        typer.Argument(metavar="NET", help="A preset, a JSON file, or a run's folder."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A file that `bneck calibrate` wrote, or table:FILE.")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Time it here and now.")] = False,
    onnx: Annotated[Path | None, typer.Option(help="Time this ONNX file instead of NET.")] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help=f"What runs the network: {one_of(*RUNTIMES, OWN)}.",
            show_default="the model's, or onnxruntime",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime: the model's, or 1.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images that one inference takes: the model's, or 1.")
    ] = None,
    target_device: DeviceOption = "local",
    wait_quiet: WaitOption = 0.0,
    width: WidthOption = None,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    json: JsonOption = False,
) -> None:
    """Predict a network's latency by block, or measure it.

    Measured with a model, the time is on the calibration's scale, with its runtime and settings.
    """
    from bneck.latency.model import LatencyModel
    from bneck.latency.predictor import open_predictor
    from bneck.latency.warn import wait_for_quiet, warn_extrapolated, warn_foreign

    if (net is None) == (onnx is None):
        raise UsageError("give either a network (NET) or an ONNX file (--onnx FILE)")
    if not (measure or model) or (onnx and not measure):
        raise UsageError(
            "nothing to do: give --model FILE, --measure or both; --onnx needs --measure"
        )
    if onnx is not None:
        check_left_out("on an ONNX file", width=width is not None, classes=classes is not None)
    if not measure:
        elsewhere = target_device != "local"
        check_left_out("without --measure", target_device=elsewhere, wait_quiet=wait_quiet > 0)
    asked = {"runtime": runtime, "threads": threads, "batch_size": batch_size}
    result: dict[str, Any] = dict.fromkeys(FIGURES)
    result["blocks"], lines = {}, []
    predictor = open_predictor(model) if model else None
    calibrated = predictor if isinstance(predictor, LatencyModel) else None
    if calibrated:
        _check_settings(calibrated, asked)
    name, arch = str(onnx), None
    if net is not None:
        name, arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    if predictor and arch:
        predicted = predictor.predict(arch)
        if calibrated:
            warn_extrapolated(calibrated, arch)
            if not measure:
                warn_foreign(calibrated)
        result |= {"predicted_ms": predicted.ms, "std_ms": predicted.std_ms}
        result["blocks"] = _by_block(predictor.breakdown(arch))
        result["device"] = predictor.name
        lines = [f"predicted {predicted.ms:.3g} +- {predicted.std_ms:.2g} ms on [{predictor.name}]"]
    if measure:
        opened = _opened(calibrated, target_device, asked)
        wait_for_quiet(opened, wait_quiet, TerminalProgress())
        took = _measured(onnx or arch, calibrated, opened, resolution)
    if measure and took.predicted:
        result |= {"device": opened.word, "predicted_ms": took.ms, "std_ms": took.std_ms}
        lines.append(f"predicted {took.ms:.3g} +- {took.std_ms:.2g} ms by [{opened.word}]")
    elif measure:
        result |= {"measured_ms": took.ms, "measured_std_ms": took.std_ms}
        result |= {"quiet": took.quiet, "note": took.note, "batch": took.batch}
        belief = "the machine was quiet" if took.quiet else f"do not trust it: {took.note}"
        images = f" for a batch of {took.batch} images" * (took.batch > 1)
        lines.append(f"measured {took.ms:.3g} +- {took.std_ms:.2g} ms{images}; {belief}")
    text = [f"{name}: {', '.join(lines)}", *_shares(result["blocks"])]
    print_result(json, result, "\n".join(text))


def _by_block(parts: dict[str, float]) -> dict[str, float]:
    blocks: dict[str, float] = {}
    for path, ms in parts.items():
        blocks[block_path(path)] = blocks.get(block_path(path), 0.0) + ms
    return blocks


def _shares(blocks: dict[str, float]) -> list[str]:
    total = sum(blocks.values())
    return [f"  {path:10} {ms:8.4f} ms  {ms / total:6.1%}" for path, ms in blocks.items()]


def _opened(calibrated: Any, device: str, asked: dict[str, Any]) -> Any:
    """The device to measure on, with the model's settings where there is a model.

    Args:
        calibrated: the latency model, or None.
        device: the device by its word.
        asked: runtime, threads and batch size; None where none was given.
    """
    from bneck.latency.devices import open_device
    from bneck.latency.warn import warn_elsewhere

    if calibrated is None:
        return open_device(device, **{k: v for k, v in asked.items() if v is not None})
    opened = open_device(device, **_check_settings(calibrated, asked))
    warn_elsewhere(calibrated, opened.fingerprint())
    return opened


def _check_settings(calibrated: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """The model's runtime, threads and batch size, which are all that may have been asked for."""
    settings = {name: getattr(calibrated.device, name) for name in asked}
    for name, made_for in settings.items():
        if asked[name] not in (None, made_for):
            word = name.replace("_", "-")
            raise UsageError(
                f"the model was calibrated for {word} {made_for}, not for {asked[name]}"
            )
    return settings


def _measured(network: Any, calibrated: Any, opened: Any, resolution: int | None) -> Any:
    """Time a network or ONNX file, on the model's scale where there is a model."""
    from bneck.latency.measure import measure

    scale, side = (
        (None, resolution) if calibrated is None else (calibrated.scale, calibrated.resolution_px)
    )
    progress = TerminalProgress()
    return measure(network, opened, scale=scale, resolution_px=side, progress=progress)


group = typer.Typer(
    rich_markup_mode=None,
    cls=_NetByDefault,
    no_args_is_help=True,
    help="Predict or measure latency: bneck latency NET --model FILE.",
)
group.command(
    cls=Command, epilog="`bneck latency kit --help`: calibrate a device that needs no bneck."
)(net)
group.command(cls=Command)(kit)
