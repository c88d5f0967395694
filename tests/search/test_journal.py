"""The quick reader against Optuna's own replay of the same journal."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from bneck.errors import UsageError
from bneck.results.record import Record
from bneck.search.journal import finished_trials
from bneck.search.objectives import Objective
from bneck.search.study import STUDY, Study, read_records
from bneck.space import spaces


def test_it_reads_what_optuna_reads(tmp_path: Path) -> None:
    """Complete, failed, refused and mended trials, one still running and a torn last line."""
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    journal = tmp_path / "journal.log"
    study = Study(journal, space, sampler="random", seed=0)
    objective = Objective(lambda arch: 1.0, lambda accuracy, latency_ms: accuracy, 2.0, 0.0)
    for number in range(6):
        candidate = study.ask(objective)
        if number == 1:
            study.refuse(candidate, "outside the band")
            study.replace(candidate, space.sample(7))
            continue
        study.accept(candidate)
        failed = number == 3
        share, error = (None, "diverged") if failed else (0.5 + number / 100, None)
        if number < 5:
            study.tell(Record(candidate.number, candidate.arch, share, 1.0, share, error, 1.0))
    own = study.records()
    storage = JournalStorage(JournalFileBackend(str(journal)))
    theirs = optuna.load_study(study_name=STUDY, storage=storage).get_trials(
        states=(TrialState.COMPLETE, TrialState.FAIL)
    )
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"trial')
    ours = finished_trials(journal)
    assert [(t.number, t.state, t.values, t.params, t.user_attrs) for t in ours] == [
        (t.number, t.state, t.values, t.params, t.user_attrs) for t in theirs
    ]
    assert len(ours) == 4
    assert read_records(journal, space) == own


def test_another_file_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    journal.write_text('{"op_code": 4}\n{"op": 1}\n')
    with pytest.raises(UsageError, match=r"journal.log, line 2 is no Optuna journal's"):
        finished_trials(journal)
