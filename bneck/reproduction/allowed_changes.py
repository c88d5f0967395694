"""Which changes of its plan a reproduction takes: other final trainings, and more of them."""

from collections.abc import Mapping
from typing import Any

from bneck.derivation.allowed_changes import supersede
from bneck.errors import UsageError
from bneck.results.plan_file import changed, differences
from bneck.results.run import Run

FINAL_TRAINING = ("epochs", "augmentation")
TRAINED = ("checkpoints", "measured_trained.jsonl")
NUMBER_OF_TRAININGS = ("seeds", "repeated")
OWN_FILES = ("latency", "seed_network")
"""What a stage's plan names in the reproduction's own folder, which may have been moved."""


def change_plan(run: Run, was: Mapping[str, Any]) -> None:
    """Make way in a reproduction's folder for final trainings of another kind or number.

    Calibration, search and NetAdapt's steps are kept; final trainings of another kind are moved
    into ``superseded``.

    Args:
        run: the reproduction with the new plan.
        was: the plan it was begun with.

    Raises:
        UsageError: any other change.
    """
    check_change(run, was)
    if set(changed(was, run.plan)) & set(FINAL_TRAINING):
        supersede(run, TRAINED)


def check_change(run: Run, was: Mapping[str, Any]) -> None:
    """Refuse every change of plan but one that leaves a reproduction's search and NetAdapt as is.

    Args:
        run: the reproduction, or the run of one of its stages, with the new plan.
        was: the plan it was begun with.

    Raises:
        UsageError: the change; with ``promote`` that of the final training too, as the search then
            trains no longer than that.
    """
    promoted = run.plan.get("promote", False)
    kept = NUMBER_OF_TRAININGS if promoted else NUMBER_OF_TRAININGS + FINAL_TRAINING
    if set(changed(was, run.plan)) - {*kept, *OWN_FILES}:
        raise UsageError(
            f"{differences(was, run.plan)}; only {', '.join(kept)} can be changed in this folder: "
            "use another --out or the same plan"
        )
