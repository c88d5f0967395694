"""Commands about time: calibrate, latency."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bneck.commands.command import Command
from bneck.commands.options import (
    ClassesOption,
    JsonOption,
    ResolutionOption,
    SeedOption,
    WidthOption,
    own_spaces,
)
from bneck.commands.output import print_json, print_text
from bneck.errors import UsageError
from bneck.latency.runtimes import PORTABLE, RUNTIMES
from bneck.live import TerminalProgress

if TYPE_CHECKING:
    from bneck.space.choices import Space

SpaceOption = Annotated[
    str, typer.Option(help="Spaces, separated by commas, or all.", callback=own_spaces)
]
RuntimeOption = Annotated[str, typer.Option(help=f"{', '.join(RUNTIMES)} or package.module:attr.")]
DeviceOption = Annotated[
    str, typer.Option(help="What to measure on: local, or ssh:USER@HOST[:PORT][/PYTHON].")
]
ThreadsOption = Annotated[int, typer.Option(help="Threads of the runtime.", min=1)]


WaitOption = Annotated[
    float,
    typer.Option(help="Minutes to wait, at most, for this machine to become quiet.", min=0.0),
]


class _NetByDefault(TyperGroup):
    """``latency NET`` is ``latency net NET``: its options are what ``latency --help`` shows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands:
            args = ["net", *args]
        return super().parse_args(ctx, args)


def calibrate(
    out: Annotated[
        Path, typer.Option(help="The model's file (JSON); a page is written next to it.")
    ],
    space: SpaceOption = "v3-small",
    runtime: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    target_device: DeviceOption = "local",
    minutes: Annotated[float, typer.Option(help="Time to spend on measuring.", min=0.1)] = 5.0,
    wait_quiet: WaitOption = 0.0,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    seed: SeedOption = 0,
    measured: Annotated[
        Path | None,
        typer.Option("--from", help="measurements.json of a kit, instead of this machine."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fit a latency model of this machine, or of another one.

    Random networks of a space are timed for it. Measurements are kept in FILE.work;
    run the same command again to resume.
    """
    from dataclasses import asdict

    from bneck.files import check_file
    from bneck.latency.devices import open_device

    if out.is_dir():
        raise UsageError(f"{out} is a folder: name a file for the model as --out")
    if measured is not None:
        check_file(measured)
        from bneck.latency.remote_calibration import read_measurements

        model = read_measurements(measured)
    else:
        spaces = _spaces(space, resolution, classes)
        opened = open_device(target_device, runtime=runtime, threads=threads)
        _wait_until_quiet(wait_quiet)
        from bneck.latency.calibrate import calibrate as run_calibration

        model = run_calibration(
            spaces,
            opened,
            folder=out.with_name(out.name + ".work"),
            minutes=minutes,
            seed=seed,
            progress=TerminalProgress(),
        )
    from bneck.latency.plots import write_page
    from bneck.latency.warn import warn_calibration

    model.save(out)
    page = out.with_suffix(".html")
    write_page(model, page)
    report = model.report
    warn_calibration(model)
    if json:
        about = {"device": str(model.device), "runtime": model.device.runtime}
        print_json({**about, **asdict(report), "doubt": report.doubt})
        return
    again = (
        f"measuring again differs by {report.repeat_mape_percent:.1f} %"
        if report.repeat_mape_percent
        else "none was measured again"
    )
    print_text(
        f"{model.device}: {report.networks} networks timed in {report.seconds:.0f} s; on "
        f"{report.held_out} held-out networks the mean error is {report.mape_percent:.1f} %, "
        f"{report.within_5_percent:.0f} % are within 5 % and {report.within_10_percent:.0f} % "
        f"within 10 %; {again}\n"
        f"model {out}, page {page}: reference {model.reference_ms:.3g} ms, channels come in "
        f"blocks of {model.channel_grid}"
    )


def _spaces(names: str, resolution: int | None, classes: int | None) -> "list[Space]":
    from bneck.latency.calibration_networks import spaces_called

    side = 224 if resolution is None else resolution
    return spaces_called(names, resolution_px=side, classes=1000 if classes is None else classes)


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
        str | None, typer.Option(help="What runs the network: the model's, or onnxruntime.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime: the model's, or 1.")
    ] = None,
    target_device: DeviceOption = "local",
    wait_quiet: WaitOption = 0.0,
    width: WidthOption = None,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    json: JsonOption = False,
) -> None:
    """Predict a network's latency by block, or measure it.

    Measured with a model, the time is on the calibration's scale and with its runtime and threads.
    """
    from bneck.latency.model import LatencyModel
    from bneck.latency.predictor import open_predictor
    from bneck.latency.warn import warn_extrapolated, warn_foreign
    from bneck.results.networks import load_network

    if (net is None) == (onnx is None):
        raise UsageError("give either a network (NET) or an ONNX file (--onnx FILE)")
    if not (measure or model) or (onnx and not measure):
        raise UsageError(
            "nothing to do: give --model FILE, --measure or both; --onnx needs --measure"
        )
    result: dict[str, Any] = dict.fromkeys(
        (
            "device",
            "predicted_ms",
            "std_ms",
            "measured_ms",
            "measured_std_ms",
            "quiet",
            "note",
            "batch",
        )
    )
    result["blocks"], lines = {}, []
    predictor = open_predictor(model) if model else None
    name, arch = str(onnx), None
    if net is not None:
        name, arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    if predictor and arch:
        predicted = predictor.predict(arch)
        if isinstance(predictor, LatencyModel):
            warn_extrapolated(predictor, arch)
            if not measure:
                warn_foreign(predictor)
        result |= {"predicted_ms": predicted.ms, "std_ms": predicted.std_ms}
        result["blocks"] = _by_block(predictor.breakdown(arch))
        result["device"] = predictor.name
        lines = [f"predicted {predicted.ms:.3g} +- {predicted.std_ms:.2g} ms on [{predictor.name}]"]
    if measure:
        calibrated = predictor if isinstance(predictor, LatencyModel) else None
        _wait_until_quiet(wait_quiet)
        took = _measured(onnx or arch, calibrated, target_device, runtime, threads, resolution)
        result |= {"measured_ms": took.ms, "measured_std_ms": took.std_ms}
        result |= {"quiet": took.quiet, "note": took.note, "batch": took.batch}
        belief = "the machine was quiet" if took.quiet else f"do not trust it: {took.note}"
        images = f" for {took.batch} images, as the file's batch is fixed" * (took.batch > 1)
        lines.append(f"measured {took.ms:.3g} +- {took.std_ms:.2g} ms{images}; {belief}")
    if json:
        print_json(result)
        return
    print_text("\n".join([f"{name}: {', '.join(lines)}", *_shares(result["blocks"])]))


def _wait_until_quiet(minutes: float) -> None:
    if minutes > 0:
        from bneck.latency.load import wait_until_quiet
        from bneck.live import warn

        if not (load := wait_until_quiet(minutes, TerminalProgress())).quiet:
            warn(f"this machine did not become quiet within {minutes:g} minutes: {load}")


def _by_block(parts: dict[str, float]) -> dict[str, float]:
    from bneck.space.architecture import block_path

    blocks: dict[str, float] = {}
    for path, ms in parts.items():
        blocks[block_path(path)] = blocks.get(block_path(path), 0.0) + ms
    return blocks


def _shares(blocks: dict[str, float]) -> list[str]:
    total = sum(blocks.values())
    return [f"  {path:10} {ms:8.4f} ms  {ms / total:6.1%}" for path, ms in blocks.items()]


def _measured(
    network: Any,
    calibrated: Any,
    device: str,
    runtime: str | None,
    threads: int | None,
    resolution: int | None,
) -> Any:
    """Time a network or ONNX file, on the model's runtime and scale where there is a model."""
    from bneck.latency.devices import open_device
    from bneck.latency.measure import measure
    from bneck.latency.warn import warn_elsewhere

    if calibrated is None:
        opened = open_device(
            device,
            runtime="onnxruntime" if runtime is None else runtime,
            threads=1 if threads is None else threads,
        )
        return measure(network, opened, resolution_px=resolution)
    for name, asked in (("runtime", runtime), ("threads", threads)):
        made_for = getattr(calibrated.device, name)
        if asked not in (None, made_for):
            raise UsageError(f"the model was calibrated for {name} {made_for}, not for {asked}")
    opened = open_device(
        device, runtime=calibrated.device.runtime, threads=calibrated.device.threads
    )
    warn_elsewhere(calibrated, opened.fingerprint())
    side = calibrated.resolution_px
    return measure(network, opened, scale=calibrated.scale, resolution_px=side)


def kit(
    out: Annotated[Path, typer.Option(help="The folder to copy to the other device.")],
    space: SpaceOption = "v3-small",
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    runtime: Annotated[
        str, typer.Option(help=f"What the device runs networks with: {', '.join(PORTABLE)}.")
    ] = "onnxruntime",
    seed: SeedOption = 0,
) -> None:
    """Write a kit that calibrates another device.

    It is networks and one script, and the device needs no bneck.

    There: python measure.py, with numpy and the runtime; here: bneck calibrate --from FILE.
    """
    spaces = _spaces(space, resolution, classes)
    if out.is_file():
        raise UsageError(f"{out} is a file: name a folder as --out")
    from bneck.latency.remote_calibration import write_kit

    write_kit(spaces, out, runtime=runtime, seed=seed, progress=TerminalProgress())
    print_text(
        f"{out}: copy it to the device and run `python measure.py` in it (it needs numpy and "
        f"{runtime.removesuffix('-int8')}); "
        "then here `bneck calibrate --from measurements.json --out latency.json`"
    )


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
