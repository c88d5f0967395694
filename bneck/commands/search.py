"""The command that searches a space: for one target, several, or the whole front."""

from typing import TYPE_CHECKING

import typer

from bneck.commands.common import JsonOption, SeedOption
from bneck.commands.deriving import print_result, session_of
from bneck.commands.options import (
    AshaOption,
    BatchOption,
    CalibrationOption,
    ConfidenceOption,
    EvaluationsOption,
    GpusOption,
    LatencyOption,
    MaybeTargetOption,
    OutOption,
    ProxyOption,
    RayOption,
    ResolutionOption,
    RewardExponentOption,
    RewardOption,
    RuntimeOption,
    SamplerOption,
    SearchDataOption,
    SearchStepsOption,
    SeedFactorOption,
    SpaceOption,
    TargetsOption,
    ThreadsOption,
    TimeLimitOption,
    WorkersOption,
)
from bneck.errors import UsageError
from bneck.search.reward import PAPERS

if TYPE_CHECKING:
    from bneck.search.selection import SelectedNetwork


def search(
    context: typer.Context,
    out: OutOption,
    target: MaybeTargetOption = None,
    targets: TargetsOption = None,
    space: SpaceOption = "v3-small",
    data: SearchDataOption = "digits",
    seed: SeedOption = 0,
    resolution_px: ResolutionOption = None,
    runtime: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    latency: LatencyOption = None,
    calibration_minutes: CalibrationOption = 2.0,
    sampler: SamplerOption = "surrogate",
    evaluations: EvaluationsOption = 24,
    batch: BatchOption = 2,
    reward: RewardOption = "soft",
    reward_exponent: RewardExponentOption = None,
    confidence: ConfidenceOption = 0.9,
    seed_factor: SeedFactorOption = 1.25,
    proxy: ProxyOption = None,
    search_steps: SearchStepsOption = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    gpus_per_trial: GpusOption = 0.0,
    time_limit: TimeLimitOption = None,
    asha: AshaOption = False,
    json: JsonOption = False,
) -> None:
    """Search a space for the network of largest reward under each target's ceiling."""
    if target is None and targets is None:
        raise UsageError("search needs a target: --target, or --targets for several")
    from bneck.results import codec

    with session_of(context, trains=False) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes

        found = pipeline.search(session)
        winners, worth = found.networks, found.next_evaluation
    run, plan = session.run, session.plan
    first = {
        "evaluations": plan.evaluations,
        "arch": str(run.seed),
        "report": str(run.report),
        "worth": worth,
    }
    networks = [codec.flat(winner) for winner in winners]
    for one, network in zip(winners, networks, strict=True):
        network["arch"] = str(run.of_target(one.target_ms) if len(winners) > 1 else run.seed)
        network["ceiling_ms"] = one.target_ms * plan.seed_factor
    result = {
        **networks[0],
        **first,
        "confidence": plan.confidence,
        "networks": networks,
        "worth": worth,
    }
    text = "\n".join(
        [*map(_winner_in_words, winners), worth, f"network {run.seed}, report {run.report}"]
    )
    print_result(json, result, text)


def _winner_in_words(winner: "SelectedNetwork") -> str:
    papers = ", ".join(f"{value:g} for {name}" for name, value in PAPERS.items())
    from bneck.results.units import milliseconds

    weight = ""
    if winner.front_accuracy is not None:
        weight = f"; w {winner.weight:.3f}, derived from the target (the paper's: {papers})"
    elif winner.weight is not None:
        weight = f"; w {winner.weight:g}, for too few networks to derive it (the paper's: {papers})"
    return (
        f"target {winner.target_ms:.4g} ms: trial {winner.number}, accuracy "
        f"{winner.accuracy.value:.4f} in the search, {winner.measured.ms:.4g} ms measured "
        f"({milliseconds(winner.predicted)} predicted), reward "
        f"{winner.reward:.4f}{weight}"
    )
