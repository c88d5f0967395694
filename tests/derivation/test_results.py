"""What is read of a run: its last stage's networks, and when their accuracies were counted."""

from pathlib import Path

import pytest

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.results import how_trained, result_of_last_stage
from bneck.quantities import Accuracy, Latency
from bneck.results.run import Run
from bneck.results.stage_record import KeptMeasurement, Shrunk
from tests.small_networks import three_stages


@pytest.mark.parametrize(
    ("finish", "counted"),
    [
        (None, "after the step's fine-tuning"),
        ("fine-tune", "after fine-tuning"),
        ("scratch", "after training"),
    ],
)
def test_networks_of_netadapt_are_named_by_their_steps(
    finish: str | None, counted: str, tmp_path: Path
) -> None:
    run, took = Run(tmp_path, {}), Latency(0.9, 0.01)
    slow, fast = three_stages(), three_stages(0.5)
    records.append(run.shrunk, Shrunk(2.0, slow, 0, Latency(1.5), took, Accuracy(0.8), met=True))
    records.append(run.shrunk, Shrunk(1.0, fast, 3, Latency(0.8), None, None, met=False))
    for note in ("it was busy", "it was warm"):
        records.append(run.measurements, KeptMeasurement(slow, 0.9, 0.01, note))
        records.append(run.measurements, KeptMeasurement(fast, 0.9, 0.01, note))
    found = result_of_last_stage(run, Plan(finish=finish), None)
    assert (found.stage, found.counted) == ("NetAdapt", counted)
    seed, third = found.networks
    assert (seed.name, seed.target_ms, seed.measured) == ("the seed", 2.0, took)
    assert (third.name, third.predicted, third.measured) == ("step 3", Latency(0.8), None)
    assert (seed.note, third.note) == ("it was warm", "")  # the latest, of what counts as measured


def test_a_training_begins_from_scratch_where_nothing_is_inherited_in_the_end() -> None:
    assert how_trained(Plan()) == "from scratch"
    assert how_trained(Plan(pretrained="imagenet")) == "from pretrained weights"
    assert how_trained(Plan(pretrained="imagenet", from_scratch=True)) == "from scratch"
    assert how_trained(Plan(teacher="seed")) == "from scratch with a teacher"
