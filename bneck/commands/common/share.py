"""The command that trains the weights which a whole space shares."""

from pathlib import Path
from typing import Annotated

import typer

from bneck.commands.common.options import JsonOption, SeedOption, described
from bneck.commands.common.output import print_result
from bneck.derivation.plan import MAX_COUNT
from bneck.live import TerminalProgress
from bneck.machine import Compute
from bneck.proxies.data.image_spec import check_images
from bneck.space import spaces
from bneck.space.checks import check_range


def share(
    out: Annotated[Path, typer.Option(help="File of weights. Run again to resume.")],
    space: Annotated[str, described("space")] = "v3-small",
    data: Annotated[str, described("data")] = "digits",
    resolution: Annotated[int | None, described("resolution_px")] = None,
    steps: Annotated[int, typer.Option(help="Training steps, four networks each.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 128,
    train: Annotated[
        int | None, typer.Option(help="Training images, at most.", show_default="all")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads to train with.", show_default="the faster of one and all"),
    ] = None,
    device: Annotated[str, described("device")] = "cpu",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Train shared weights for a whole space.

    They are for `--proxy shared-weights:FILE`.
    """
    compute = Compute(device, threads)
    check_images(data, resolution)
    spaces.build(space)
    for name, value, least in (("steps", steps, 1), ("batch-size", batch_size, 2)):
        check_range(name, value, least, MAX_COUNT)
    for name, maybe, least in (("train", train, 2), ("threads", threads, 1)):
        if maybe is not None:
            check_range(name, maybe, least, MAX_COUNT)
    from bneck.proxies import shared_weights
    from bneck.proxies.data import loading as image_data  # torch: after the mistakes
    from bneck.proxies.training.recipe import Recipe

    progress = TerminalProgress()
    images = image_data.load(data, resolution_px=resolution, seed=seed, progress=progress)
    images = images.for_search(seed).subset(seed=seed, train=train)
    result = shared_weights.share(
        spaces.build(space, resolution_px=images.info.resolution_px, classes=images.info.classes),
        images,
        Recipe(steps, batch_size),
        out,
        seed=seed,
        progress=progress,
        compute=compute,
    )
    found = {
        "weights": str(out),
        "steps": result.steps,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
    }
    print_result(json, found, f"{out}: {result.steps} steps in {result.seconds:.0f} s")
