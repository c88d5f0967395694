"""What the commands that make a run can be asked; names and defaults are the plan's."""

from pathlib import Path
from typing import Annotated

import typer

MaybeTargetOption = Annotated[
    str | None,
    typer.Option(
        help="ms, like 2.0, or a share of a network's: 0.8x:mobilenet_v3_small, or, at another "
        "side in pixels, 0.8x:mobilenet_v3_small@64.",
        show_default=False,
    ),
]
TargetsOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT,TEXT...",
        help="Several targets, which share the evaluations: 1.5,2,3.",
        show_default=False,
    ),
]


def own_spaces(words: str | None) -> str | None:
    """Import the spaces among the words, separated by commas, that are the user's own."""
    for word in (words or "").split(","):
        if ":" in word:
            from bneck.space import spaces

            spaces.load_own(word)
    return words


SpaceOption = Annotated[
    str,
    typer.Option(
        help="v3-small, v3-small-plain, v3-large, mnasnet, cpu-small, or your own as "
        "package.module:attr.",
        callback=own_spaces,
    ),
]
DataOption = Annotated[
    str, typer.Option(help="digits, fashion-mnist, cifar10, folder:DIR or npz:FILE.")
]
SearchDataOption = Annotated[
    str,
    typer.Option(
        help="digits, fashion-mnist, cifar10, folder:DIR or npz:FILE; or table:FILE, accuracies "
        "that answer in place of trainings."
    ),
]
ProxyOption = Annotated[
    str | None,
    typer.Option(
        help="What networks are compared by: short-training, shared-weights:FILE or "
        "package.module:attr.",
        show_default="short-training",
    ),
]
OutOption = Annotated[Path, typer.Option(help="The run's folder; the same command goes on there.")]
ResolutionOption = Annotated[
    int | None,
    typer.Option("--resolution", help="Input side in pixels.", show_default="what suits the data"),
]
RuntimeOption = Annotated[str, typer.Option(help="What runs the network: onnxruntime or torch.")]
ThreadsOption = Annotated[int, typer.Option(help="Threads of the runtime that latency is for.")]
EvaluationsOption = Annotated[int, typer.Option(help="Networks that the search trains.")]
CalibrationOption = Annotated[
    float, typer.Option("--calibration-minutes", help="Time to spend on calibrating this device.")
]
LatencyOption = Annotated[
    str | None,
    typer.Option(
        help="A model that `bneck calibrate` wrote here, at the same side and classes.",
        show_default="calibrate",
    ),
]
RewardOption = Annotated[
    str,
    typer.Option(
        help="soft or hard (MnasNet), absolute (TuNAS), front (accuracy and latency apart) or "
        "package.module:attr."
    ),
]
SamplerOption = Annotated[
    str,
    typer.Option(
        help="surrogate, tpe, random, nsga2, evolution, local-search or package.module:attr."
    ),
]
RewardExponentOption = Annotated[
    float | None,
    typer.Option(
        help="w of the reward ACC * (LAT/TAR)^w; beta of the absolute one.",
        show_default="derived from the target",
    ),
]
ConfidenceOption = Annotated[
    float,
    typer.Option(help="With which a network must be predicted under the search's ceiling."),
]
SeedFactorOption = Annotated[
    float, typer.Option(help="The search may go so many times above the target.")
]
BatchOption = Annotated[int, typer.Option(help="Networks the search asks for at once.")]
DeltaOption = Annotated[
    float, typer.Option(help="What a NetAdapt proposal saves, as a share of the seed's latency.")
]
SearchStepsOption = Annotated[
    int | None, typer.Option(help="Training steps in the search.", show_default="by the data")
]
FineTuneOption = Annotated[
    int | None, typer.Option(help="Training steps of a proposal.", show_default="by the data")
]
EpochsOption = Annotated[
    float | None, typer.Option(help="Epochs of the final training.", show_default="by the data")
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Evaluations at once, one thread each.", show_default="all cores")
]
RayOption = Annotated[
    str | None,
    typer.Option(
        help="Evaluate on Ray: auto (the cluster that runs here), ray://HOST:PORT, or local.",
        show_default="no Ray",
    ),
]
GpusOption = Annotated[float, typer.Option(help="GPUs that Ray keeps for each evaluation.")]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(help="Seconds after which an evaluation fails.", show_default="none"),
]
NetOrRun = Annotated[
    str, typer.Argument(metavar="NET", help="A preset's name, a JSON file or a run's folder.")
]
AshaOption = Annotated[
    bool,
    typer.Option(
        "--asha", help="With --ray: stop poor trainings early; --out must be on all nodes."
    ),
]
