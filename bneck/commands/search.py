"""The command ``search``: a space, for one target, several, or the whole front."""

from typing import TYPE_CHECKING, Any

from bneck import records
from bneck.commands.common.options import JsonOption, OutOption
from bneck.commands.common.output import print_result
from bneck.commands.common.session import run_options, session_of
from bneck.results.summary import in_words, with_doubt
from bneck.search.reward import PAPERS

if TYPE_CHECKING:
    from bneck.results.stage_record import SelectedNetwork


@run_options("search")
def search(out: OutOption, json: JsonOption = False, **asked: Any) -> None:
    """Search a space for the best network under a latency ceiling."""
    with session_of("search", out, asked) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes
        from bneck.derivation.results import doubts

        found = pipeline.search(session)
        winners, worth = found.networks, found.next_evaluation
    run, plan = session.run, session.plan
    networks, notes = [records.flat(winner) for winner in winners], doubts(run, winners)
    for one, network, note in zip(winners, networks, notes, strict=True):
        network["arch"] = str(run.of_target(one.target_ms) if len(winners) > 1 else run.seed)
        network["note"] = note
        network["latency_is"] = "measured" if one.measured else "predicted"
        network["ceiling_ms"] = one.target_ms * plan.seed_factor
    result = {
        **networks[0],
        "evaluations": plan.evaluations,
        "arch": str(run.seed),
        "report": str(run.report),
        "worth": worth,
        "confidence": plan.confidence,
        "networks": networks,
    }
    lines = map(with_doubt, map(_winner_in_words, winners), notes)
    text = "\n".join([*lines, worth, f"network {run.seed}, report {run.report}"])
    print_result(json, result, text)


def _winner_in_words(winner: "SelectedNetwork") -> str:
    papers = ", ".join(f"{value:g} for {name}" for name, value in PAPERS.items())
    weight = ""
    if winner.front_accuracy is not None:
        weight = f"; w {winner.weight:.3f}, derived from the target (the paper's: {papers})"
    elif winner.weight is not None:
        weight = f"; w {winner.weight:g}, for too few networks to derive it (the paper's: {papers})"
    return (
        f"target {winner.target_ms:.4g} ms: {winner.called('trial')}, accuracy "
        f"{winner.accuracy.value:.4f} in the search, "
        f"{in_words(winner.predicted, winner.measured)}, reward {winner.reward:.4f}{weight}"
    )
