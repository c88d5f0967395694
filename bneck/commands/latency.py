"""The command ``latency``: a network's, predicted or measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bneck.commands.common.command import Command
from bneck.commands.common.latency_options import DeviceOption, WaitOption
from bneck.commands.common.options import (
    ClassesOption,
    JsonOption,
    ResolutionOption,
    WidthOption,
    check_left_out,
)
from bneck.commands.common.output import print_result
from bneck.commands.kit import kit
from bneck.derivation.option import OWN
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.latency.runtimes import RUNTIMES
from bneck.live import TerminalProgress, warn
from bneck.results.networks import load_network, network_name
from bneck.results.run_files import RunFiles
from bneck.space.architecture import Architecture, block_path
from bneck.text import aligned, one_of, option_name
from bneck.units import decimals, milliseconds, percent

if TYPE_CHECKING:
    from bneck.latency.devices import Device
    from bneck.latency.model import LatencyModel
    from bneck.latency.predictor import Predictor
    from bneck.latency.runtimes.weights import Array

FIGURES = (
    "device", "predicted_ms", "std_ms", "measured_ms", "measured_std_ms", "quiet", "note", "batch"
)  # fmt: skip


class _NetByDefault(TyperGroup):
    """Arguments that begin with no sub-command are for ``net``, whose name users leave out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        others = self.commands.keys() - {"net"}
        return super().parse_args(ctx, args if others & {*args[:1]} else ["net", *args])


class _Net(Command):
    """Its help calls it as users do: without its word."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        words = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path.removesuffix(" net"), words)


def net(
    net: Annotated[
        str | None, typer.Argument(metavar="NET", help="A preset, a JSON file, or a run's folder.")
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
    if (net is None) == (onnx is None):
        raise UsageError("give either a network (NET) or an ONNX file (--onnx FILE)")
    name, arch = str(onnx), None
    if net is not None:
        name = network_name(net, width)
        arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    if not (measure or model) or (onnx and not measure):
        raise UsageError(
            "nothing to do: give --model FILE, --measure or both; --onnx needs --measure"
            + _own_model(net)
        )
    if onnx is not None:
        check_left_out("on an ONNX file", width=width is not None, classes=classes is not None)
    if not measure:
        elsewhere = target_device != "local"
        check_left_out("without --measure", target_device=elsewhere, wait_quiet=wait_quiet > 0)
    from bneck.derivation.trained_networks import own_weights
    from bneck.latency.device_load import wait_until_quiet
    from bneck.latency.devices import check_wait, open_device  # numpy: after the mistakes
    from bneck.latency.model import LatencyModel
    from bneck.latency.predictor import open_predictor
    from bneck.latency.warn import too_many_threads, warn_elsewhere

    check_wait(target_device, wait_quiet)
    predictor = open_predictor(model) if model else None
    calibrated = predictor if isinstance(predictor, LatencyModel) else None
    asked = {"runtime": runtime, "threads": threads, "batch_size": batch_size}
    if not measure and calibrated is None:  # a table, whose runtime and settings are its own
        given = {name: value is not None for name, value in asked.items()}
        check_left_out("without --measure", **given)
    settings = _settings(calibrated, asked)
    result: dict[str, Any] = {**dict.fromkeys(FIGURES), "blocks": {}}
    said = []
    if predictor and arch:
        found, words = _predicted(predictor, arch, measured_too=measure)
        result |= found
        said.append(words)
    if measure:
        device = open_device(target_device, **settings)
        if doubt := too_many_threads(device):
            warn(doubt)
        if calibrated:
            warn_elsewhere(calibrated, device.fingerprint())
        wait_until_quiet(device.watch_idle, wait_quiet, TerminalProgress())
        own = own_weights(net, arch) if net is not None and arch is not None else None
        found, words = _measured(onnx or arch, device, calibrated, own, resolution)
        result |= found
        said.append(words)
    text = [f"{name}: {', '.join(said)}", *_shares(result["blocks"])]
    print_result(json, result, "\n".join(text))


def _own_model(net: str | None) -> str:
    """Words that name the latency model of a run, if ``net`` is one that has it."""
    own = None if net is None else RunFiles(Path(net)).latency
    return f"; --model {own} is the run's own" if own and is_written(own) else ""


def _settings(model: "LatencyModel | None", asked: dict[str, Any]) -> dict[str, Any]:
    """Runtime, threads and batch size: the model's, which are all that may have been asked for."""
    if model is None:
        return {name: value for name, value in asked.items() if value is not None}
    settings = {}
    for name, value in asked.items():
        made_for = getattr(model.device, name)
        if value not in (None, made_for):
            raise UsageError(
                f"the model was calibrated for {option_name(name)} {made_for}, not for {value}"
            )
        # The user's own word may be imported, the same word of a file may not.
        settings[name] = made_for if value is None else value
    return settings


def _predicted(
    predictor: "Predictor", arch: Architecture, *, measured_too: bool
) -> tuple[dict[str, Any], str]:
    """Figures and words of a prediction; warns where it is not to be relied on here."""
    from bneck.latency.model import LatencyModel
    from bneck.latency.warn import warn_extrapolated, warn_foreign

    predicted = predictor.predict(arch)
    if isinstance(predictor, LatencyModel):
        warn_extrapolated(predictor, arch)
        if not measured_too:
            warn_foreign(predictor)
    figures = {
        "device": predictor.name,
        "predicted_ms": predicted.ms,
        "std_ms": predicted.std_ms,
        "blocks": _by_block(predictor.breakdown(arch)),
    }
    return figures, f"predicted {milliseconds(predicted)} ms on [{predictor.name}]"


def _measured(
    network: Architecture | Path | None,
    device: "Device",
    model: "LatencyModel | None",
    weights: "Mapping[str, Array] | None",
    resolution: int | None,
) -> tuple[dict[str, Any], str]:
    """Figures and words of a measurement, on the model's scale where there is a model.

    Args:
        network: what is timed; an ONNX file's path, or an architecture.
        device: what it is timed on, with the model's settings.
        model: the latency model.
        weights: an architecture's own; None takes random ones.
        resolution: what free sides of an ONNX file become.
    """
    from bneck.latency.measure import measure

    assert network is not None
    took = measure(
        network,
        device,
        weights=weights,
        model=model,
        resolution_px=resolution,
        progress=TerminalProgress(),
    )
    spread = f"{milliseconds(took.latency)} ms"
    if took.predicted:
        figures = {"device": device.word, "predicted_ms": took.ms, "std_ms": took.std_ms}
        return figures, f"predicted {spread} by [{device.word}]"
    belief = "the machine was quiet" if took.quiet else f"do not trust it: {took.note}"
    images = f" for a batch of {took.batch} images" * (took.batch > 1)
    figures = {
        "measured_ms": took.ms,
        "measured_std_ms": took.std_ms,
        "quiet": took.quiet,
        "note": took.note,
        "batch": took.batch,
    }
    return figures, f"measured {spread}{images}; {belief}"


def _by_block(parts: dict[str, float]) -> dict[str, float]:
    blocks: dict[str, float] = {}
    for path, ms in parts.items():
        blocks[block_path(path)] = blocks.get(block_path(path), 0.0) + ms
    return blocks


def _shares(blocks: dict[str, float]) -> list[str]:
    total = sum(blocks.values())
    places = decimals(total) + 1
    lines = [
        ("", path, f"{ms:8.{places}f} ms", f"{percent(ms / total):>6}")
        for path, ms in blocks.items()
    ]
    return aligned(lines).splitlines()


group = typer.Typer(
    rich_markup_mode=None,
    cls=_NetByDefault,
    help="Predict or measure latency: bneck latency NET --model FILE.",
)
group.command(
    cls=_Net,
    no_args_is_help=True,
    epilog="`bneck latency kit --help`: calibrate a device that needs no bneck.",
)(net)
group.command(cls=Command)(kit)
