"""Journals of searches as they could have gone."""

from pathlib import Path

from bneck.results.record import Record
from bneck.search.journal import Journal
from bneck.search.samplers.history import Trial
from bneck.search.trial_attributes import outcome_of, proposal_of
from bneck.space.choices import Space


def write_trials(path: Path, space: Space, *trials: tuple[int, int, str | None]) -> None:
    """Write trials of 1 ms to a new journal: the seed of a network, its rung, and its error if any.

    Without an error the accuracy is a half.
    """
    journal = Journal(path, space, directions=["maximize"])
    for number, (seed, rung, error) in enumerate(trials):
        values = space.sample(seed)
        trial = Trial(number, values, space.decode(values), rung=rung)
        user, system = proposal_of(trial, space, latency_ms=1.0, virtual_start=None)
        journal.propose(values, user_attrs=user, system_attrs=system)
        share = None if error else 0.5
        record = Record(number, trial.arch, share, 1.0, share, error, 1.0, rung=rung)
        journal.finish(number, *outcome_of(record, front=False))
