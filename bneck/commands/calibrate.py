"""The command ``calibrate``: a latency model of this device, or of another."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bneck.commands.common.latency_options import (
    RUNTIME,
    SPACE,
    BatchSizeOption,
    DeviceOption,
    RuntimeOption,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    ThreadsOption,
    WaitOption,
    spaces_of,
)
from bneck.commands.common.options import JsonOption, SeedOption, check_left_out
from bneck.commands.common.output import print_result
from bneck.errors import UsageError
from bneck.latency.timing import CALIBRATION_MINUTES
from bneck.live import TerminalProgress, warn
from bneck.path_checks import check_beside, check_file, check_new_file
from bneck.results.run_files import check_not_own
from bneck.text import number_of

if TYPE_CHECKING:
    from bneck.latency.devices import Device
    from bneck.latency.model import LatencyModel
    from bneck.space.choices import Space


def calibrate(
    out: Annotated[
        Path, typer.Option(help="The model's file (JSON); a page is written next to it.")
    ],
    space: SpaceOption = SPACE,
    runtime: RuntimeOption = RUNTIME,
    threads: ThreadsOption = 1,
    batch_size: BatchSizeOption = 1,
    target_device: DeviceOption = "local",
    minutes: Annotated[
        float, typer.Option(help="Time to spend on measuring.", min=0.1)
    ] = CALIBRATION_MINUTES,
    wait_quiet: WaitOption = 0.0,
    resolution: SpaceResolutionOption = None,
    classes: SpaceClassesOption = None,
    seed: SeedOption = 0,
    measured: Annotated[
        Path | None,
        typer.Option("--from", help="measurements.json of a kit, instead of this machine."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fit a latency model of this machine, or of another one.

    Random networks of a space are timed for it. Measurements are kept in OUT.work;
    run the same command again to resume.
    """
    page = out.with_suffix(".html")
    _check_place(out, page)
    if measured is not None:
        check_left_out(
            "with --from, which has its own",
            space=space != SPACE,
            runtime=runtime != RUNTIME,
            threads=threads != 1,
            batch_size=batch_size != 1,
            target_device=target_device != "local",
            minutes=minutes != CALIBRATION_MINUTES,
            wait_quiet=wait_quiet != 0,
            resolution=resolution is not None,
            classes=classes is not None,
            seed=seed != 0,
        )
        check_file(measured)
        from bneck.latency.kit_measurements import read_measurements  # numpy

        model = read_measurements(measured)
    else:
        spaces = spaces_of(space, resolution, classes)
        from bneck.latency.devices import check_wait, open_device  # numpy

        check_wait(target_device, wait_quiet)
        opened = open_device(target_device, runtime=runtime, threads=threads, batch_size=batch_size)
        model = _timed(spaces, opened, out, minutes=minutes, wait_quiet=wait_quiet, seed=seed)
    from bneck.latency.calibration.page import write_page

    model.save(out)
    write_page(model, page)
    report, device = model.report, model.device
    if report.doubt:
        warn(report.doubt)
    result = {"device": str(device), "runtime": device.runtime, **asdict(report)}
    print_result(json, {**result, "doubt": report.doubt}, _in_words(model, out, page))


def _check_place(out: Path, page: Path) -> None:
    """Refuse a model's file, or its page, that would replace something else or cannot be there."""
    if out == page:
        raise UsageError(f"{out}: the page is written there; name another file for the model")
    check_new_file(out)
    check_not_own(out)
    check_beside(out, page.suffix)
    if out.exists():
        from bneck.latency.predictor import check_new_model  # numpy

        check_new_model(out)


def _timed(
    spaces: "Sequence[Space]",
    device: "Device",
    out: Path,
    *,
    minutes: float,
    wait_quiet: float,
    seed: int,
) -> "LatencyModel":
    """Time networks of the spaces on a device, once it is quiet, and fit a model to them.

    Args:
        spaces: what the networks are drawn from.
        device: what they are timed on.
        out: the model's file, beside which the timings are kept.
        minutes: time to spend on measuring.
        wait_quiet: minutes to wait, at most, for the device to become quiet.
        seed: of the networks that are drawn.
    """
    from bneck.latency.calibration.calibrate import calibrate as run_calibration
    from bneck.latency.device_load import wait_until_quiet
    from bneck.latency.warn import too_many_threads

    if said := too_many_threads(device):
        warn(said)
    progress = TerminalProgress()
    wait_until_quiet(device.watch_idle, wait_quiet, progress)
    work = out.with_name(out.name + ".work")
    return run_calibration(
        spaces, device, folder=work, minutes=minutes, seed=seed, progress=progress
    )


def _in_words(model: "LatencyModel", out: Path, page: Path) -> str:
    report = model.report
    again = (
        f"measuring again differs by {report.repeat_mape_percent:.1f} %"
        if report.repeat_mape_percent
        else "none was measured again"
    )
    return (
        f"{model.device}: {report.networks} networks timed in {report.seconds:.0f} s; on "
        f"{number_of(report.held_out, 'held-out network')} the mean error is "
        f"{report.mape_percent:.1f} %, "
        f"{report.within_5_percent:.0f} % are within 5 % and {report.within_10_percent:.0f} % "
        f"within 10 %; {again}\n"
        f"model {out}, page {page}: reference {model.reference_ms:.3g} ms, channels come in "
        f"blocks of {model.channel_grid}"
    )
