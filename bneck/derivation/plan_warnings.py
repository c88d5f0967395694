"""What is said of a plan that is too small to find or train a good network."""

from dataclasses import replace

from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.training_budget import budget
from bneck.search.samplers.online_surrogate import START
from bneck.text import number_of

TOO_FEW = 0.25
"""Share of the training steps that suit the data, below which networks hardly differ yet."""


def warn_if_small(session: Session, data: RunData) -> None:
    """Warn of a search that is too small to find anything."""
    plan, said = session.plan, []
    if plan.evaluations < START:
        few = number_of(plan.evaluations, "evaluation")
        said.append(f"{few}, when it takes {START} to learn what matters")
    if data.table is None and plan.scores_by_training and plan.search_steps is not None:
        usual = budget(replace(plan, search_steps=None), data.info).search.steps
        if plan.search_steps < TOO_FEW * usual:
            few = number_of(plan.search_steps, "training step")
            said.append(f"{few}, when {usual} suit these images")
    if said:
        note = f"warning: too small to find a good network: {', and '.join(said)}"
        session.progress("plan", 1, 1, note)


def warn_if_short(session: Session, data: RunData) -> None:
    """Warn of a final training in which networks see less than they would in the search."""
    plan = session.plan
    usual = budget(replace(plan, search_steps=None), data.info)
    if usual.final.steps < usual.search.steps:
        note = (
            f"warning: too few --epochs to learn much: {usual.final.steps} training steps in the "
            f"end, when {usual.search.steps} suit the search alone"
        )
        session.progress("plan", 1, 1, note)
