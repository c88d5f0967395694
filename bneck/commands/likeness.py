"""The command ``likeness``: how much a derived network resembles a published one."""

from pathlib import Path
from typing import Annotated

import typer

from bneck import records
from bneck.commands.common.options import JsonOption, NetArgument, SeedOption, own_spaces
from bneck.commands.common.output import print_result
from bneck.derivation.option import OWN
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.path_checks import check_new_folder
from bneck.reproduction.plan import MAX_RANDOM_NETWORKS
from bneck.results.networks import load_network
from bneck.results.run import Run
from bneck.results.similarity import as_text
from bneck.space import spaces
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.text import one_of


def likeness(
    net: NetArgument,
    to: Annotated[str, typer.Option(help="The published network.")] = MOBILENET_V3_SMALL,
    space: Annotated[
        str | None,
        typer.Option(
            help=f"Space of the random networks: {one_of(*spaces.SPACES, OWN)}.",
            show_default="the run's",
            callback=own_spaces,
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            help="A calibrated model, table:FILE, or macs.", show_default="the run's own model"
        ),
    ] = None,
    networks: Annotated[
        int, typer.Option(help="Random networks.", min=10, max=MAX_RANDOM_NETWORKS)
    ] = 1000,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for likeness.json and likeness.svg.",
            show_default=f"the run's own, for {MOBILENET_V3_SMALL}",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure how much a network resembles a published one.

    Random networks that are as fast are the yardstick.
    """
    from bneck.derivation.similarity import similarity_to  # numpy
    from bneck.latency.model import LatencyModel
    from bneck.latency.predictor import open_predictor

    arch = load_network(net)
    if Path(net).is_dir():
        run = Run.read(Path(net))
        space = space or str(run.plan.get("space") or "") or None
        if latency is None:
            if not is_written(run.latency):
                raise UsageError(f"the run {net} has no latency model of its own: give --latency")
            latency = str(run.latency)
        if out is None and to == MOBILENET_V3_SMALL:
            out = run.folder
    if out is not None:
        check_new_folder(out)
    if space is None or latency is None:
        raise UsageError(f"{net} is not a run: give --space and --latency")
    others = spaces.build(space, resolution_px=arch.resolution_px, classes=arch.classes)
    predictor = open_predictor(latency)
    if isinstance(predictor, LatencyModel) and predictor.resolution_px != arch.resolution_px:
        raise UsageError(
            f"{latency} was calibrated at {predictor.resolution_px} px, and {net} is of "
            f"{arch.resolution_px} px: give a model of that side"
        )
    found = similarity_to(arch, predictor, others, to=to, count=networks, seed=seed)
    if out is not None:
        from bneck.results import static_figures  # matplotlib: where something is drawn

        records.write(out / "likeness.json", found)
        static_figures.save(static_figures.similarity(found), out / "likeness.svg")
    print_result(json, records.to_json(found), as_text(found))
