"""The command ``latency kit``: what calibrates a device that has no bneck."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from bneck.commands.common.latency_options import (
    RUNTIME,
    SPACE,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    spaces_of,
)
from bneck.commands.common.options import SeedOption, check_left_out
from bneck.commands.common.output import print_text
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.latency.runtimes import MAX_BATCH_SIZE, PORTABLE, as_options
from bneck.live import TerminalProgress
from bneck.path_checks import check_new_folder
from bneck.results.networks import load_network
from bneck.results.run import Run
from bneck.text import one_of


def kit(
    out: Annotated[Path, typer.Option(help="The folder to copy to the other device.")],
    space: SpaceOption = SPACE,
    resolution: SpaceResolutionOption = None,
    classes: SpaceClassesOption = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help=f"What the device runs networks with: {one_of(*PORTABLE)}.",
            show_default=f"the run's if it is one of these, else {RUNTIME}",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images that one inference takes.",
            min=1,
            max=MAX_BATCH_SIZE,
            show_default="the run's, or 1",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="A finished run: measure its network, with its weights, and no others."),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Write a kit that calibrates another device, or measures a run's network there.

    It is networks and one script, and the device needs no bneck.

    There: python measure.py, with numpy and the runtime; here: bneck calibrate --from FILE, or
    with --network, bneck latency RUN --measure --target-device file:DIR.
    """
    check_new_folder(out)
    if network is not None:
        check_left_out(
            "with --network, which has its own",
            space=space != SPACE,
            resolution=resolution is not None,
            classes=classes is not None,
            seed=seed != 0,
        )
        _kit_of_run(Path(network), out, runtime, batch_size)
        return
    spaces = spaces_of(space, resolution, classes)
    from bneck.latency.kit import write_kit

    runtime = RUNTIME if runtime is None else runtime
    write_kit(
        spaces,
        out,
        runtime=runtime,
        batch_size=batch_size or 1,
        seed=seed,
        progress=TerminalProgress(),
    )
    print_text(
        f"{out}: copy it to the device and run `python measure.py` in it (before: `pip install "
        f"numpy {PORTABLE[runtime]}`); "
        "then here `bneck calibrate --from measurements.json --out latency.json`"
    )


def _kit_of_run(folder: Path, out: Path, runtime: str | None, batch_size: int | None) -> None:
    """Add the network of the run in ``folder`` to a kit, or write one for it alone.

    Runtime and batch size are the run's where they are None; a runtime that other devices cannot
    have gives way to ``RUNTIME``.
    """
    run = Run.read(folder)
    if not is_written(run.weights):
        run.check_single()
        raise UsageError(f"{folder} has no network yet: the run is {run.read_state()}")
    from bneck.derivation.results import plan_of
    from bneck.derivation.trained_networks import own_weights
    from bneck.latency.kit import add_to_kit

    plan = plan_of(run)
    if runtime is None:
        runtime = plan.runtime if plan.runtime in PORTABLE else RUNTIME
    batch_size = batch_size or plan.batch_size
    arch = load_network(str(folder))
    weights = own_weights(str(folder), arch)
    add_to_kit(out, arch, weights, runtime=runtime, batch_size=batch_size)
    print_text(
        f"{out}: copy it to the device, run `python measure.py` in it and copy measurements.json "
        f"back; then `bneck latency {quote(str(folder))} --measure --target-device "
        f"{quote(f'file:{out}')} {as_options(runtime, batch_size=batch_size)}`"
    )
