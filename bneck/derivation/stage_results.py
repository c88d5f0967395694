"""What the stages of a run have come to on their own: a search, NetAdapt or a training."""

from typing import TypedDict

from bneck import records
from bneck.derivation.netadapt_stage import Shrunk
from bneck.derivation.plan import Plan
from bneck.derivation.training_stage import Training
from bneck.files import is_written
from bneck.latency.model import LatencyModel
from bneck.results.record import Found
from bneck.results.run import Run
from bneck.search.selection import SearchResult, SelectedNetwork
from bneck.space import codec as networks


class FoundByStage(TypedDict, total=False):
    """Those fields of ``ReportData`` that tell what a stage came to."""

    found: tuple[Found, ...]
    found_by: str
    found_accuracy: str


def found_by_a_stage(run: Run, plan: Plan, model: LatencyModel | None) -> FoundByStage:
    """The networks of the last stage that has some; nothing where none has."""
    if shrunk := records.read_lines(run.shrunk, Shrunk):
        after = {None: "the step's fine-tuning", "fine-tune": "fine-tuning", "scratch": "training"}
        return {
            "found": tuple(_of_netadapt(one, model) for one in shrunk),
            "found_by": "NetAdapt",
            "found_accuracy": f"after {after[plan.finish]}",
        }
    if is_written(run.winners):
        winners = records.read(run.winners, SearchResult).networks
        return {
            "found": tuple(_of_search(one, model) for one in winners),
            "found_by": "search",
            "found_accuracy": "by the cheap signal of the search",
        }
    trained = run.checkpoints / "network.json"
    if plan.seed_network and is_written(run.network) and is_written(trained):
        training = records.read(trained, Training)
        arch = networks.load(run.network)
        return {
            "found": (Found(plan.seed_network, arch, training.accuracy),),
            "found_by": "training",
            "found_accuracy": "after training from scratch",
        }
    return {}


def _of_netadapt(one: Shrunk, model: LatencyModel | None) -> Found:
    return Found(
        name=f"step {one.step}" if one.step else "the seed",
        arch=one.arch,
        accuracy=one.accuracy,
        target_ms=one.target_ms,
        predicted=one.predicted,
        measured=one.measured,
        breakdown=model.breakdown(one.arch) if model else None,
    )


def _of_search(one: SelectedNetwork, model: LatencyModel | None) -> Found:
    return Found(
        name=f"network {one.number}",
        arch=one.arch,
        accuracy=one.accuracy,
        target_ms=one.target_ms,
        predicted=one.predicted,
        measured=one.measured,
        breakdown=model.breakdown(one.arch) if model else None,
    )
