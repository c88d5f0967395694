"""The journal is Optuna's: what we write, Optuna reads; what is damaged is named."""

import json
import os
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from bneck.errors import BneckError, UsageError
from bneck.executors.serial import Serial
from bneck.results.record import Record
from bneck.search.journal import STUDY, Operation, State, read_journal
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_attributes import read_records
from bneck.space.choices import Space, Values
from tests.closed_form import MacsDevice
from tests.search.driver import faulty


def run(
    journal: Path, space: Space, evaluations: int, sampler: str = "random", parallel: int = 3
) -> list[Record]:
    study = Study(journal, space, sampler=sampler, seed=1, parallel=parallel)
    return search(
        study,
        faulty,
        objectives=Objectives(space, MacsDevice(), [Target(Soft(1.0), 1.0, 1.5, 1.0)]),
        evaluations=evaluations,
        executor=Serial(),
    )


def loaded(journal: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name=STUDY, storage=storage)


def test_our_numbers_are_optunas() -> None:
    assert {one.name: one.value for one in Operation}.items() <= {
        one.name: one.value for one in JournalOperation
    }.items()
    assert {one.name: one.value for one in State} == {one.name: one.value for one in TrialState}


@pytest.mark.parametrize("sampler", ["random", "nsga2"])
def test_optuna_loads_the_study(tmp_path: Path, space: Space, sampler: str) -> None:
    """Complete, failed and running trials, and a last line that is torn."""
    journal = tmp_path / "journal.log"
    records = run(journal, space, 20, sampler)
    study = Study(journal, space, sampler=sampler, seed=1, parallel=3)
    waiting = study.propose(Objectives(space, MacsDevice(), [Target(Soft(1.0), 1.0, 1.5, 1.0)]))
    theirs = loaded(journal).trials
    assert [space.decode(trial.params) for trial in theirs[:-1]] == [one.arch for one in records]
    assert [trial.value for trial in theirs[:-1]] == [one.reward for one in records]
    assert {trial.state for trial in theirs[:-1]} == {TrialState.COMPLETE, TrialState.FAIL}
    assert (theirs[-1].state, theirs[-1].params) == (TrialState.RUNNING, waiting.values)
    for trial, record in zip(theirs[:-1], records, strict=True):
        assert trial.user_attrs.get("accuracy") == record.accuracy
        assert trial.user_attrs.get("error") == record.error
        assert trial.distributions["s3.b1.kernel"].choices == space.choices["s3.b1.kernel"]
        assert trial.datetime_start <= trial.datetime_complete
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"trial')
    assert read_records(journal, space) == records


def of_the_first_version(journal: Path, space: Space) -> list[Values]:
    """Written by Optuna as version 0.1 had it written: a line a choice, refusals as trials.

    Trial 1 was refused and trial 2 is the network in its place; 3 failed, 5 was cut off while its
    choices were made. Returns the networks that were evaluated.
    """
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize")
    evaluated = []
    for number in range(5):
        values = space.sample(number)
        if number == 2:
            waiting = optuna.create_trial(
                state=TrialState.WAITING, system_attrs={"fixed_params": values}
            )
            study.add_trial(waiting)
        else:
            study.enqueue_trial(values)
        trial = study.ask()
        for name in values:
            trial.suggest_categorical(name, space.choices[name])
        if number == 1:
            trial.set_user_attr("refused", "outside the band")
            study.tell(trial, state=TrialState.PRUNED)
            continue
        evaluated.append(values)
        failed = number == 3
        told = {"accuracy": None if failed else 0.5, "error": "diverged" if failed else None}
        told |= {"latency_ms": 1.2, "seconds": 3.0, "made_with": {"bneck": "0.1.0"}}
        for name, value in told.items():
            trial.set_user_attr(name, value)
        study.tell(trial, None if failed else 0.4, state=TrialState.FAIL if failed else None)
    study.ask().suggest_categorical("s1.width", space.choices["s1.width"])
    return evaluated


def test_a_journal_of_the_first_version_is_read_as_optuna_reads_it(
    tmp_path: Path, space: Space
) -> None:
    of_the_first_version(tmp_path / "journal.log", space)
    ours = read_journal(tmp_path / "journal.log").trials
    theirs = loaded(tmp_path / "journal.log").trials
    assert [(t.number, t.state, t.values, t.params, t.user_attrs) for t in ours] == [
        (t.number, t.state, t.values, t.params, t.user_attrs) for t in theirs
    ]


def test_a_search_of_the_first_version_resumes(tmp_path: Path, space: Space) -> None:
    journal = tmp_path / "journal.log"
    before = [space.decode(values) for values in of_the_first_version(journal, space)]
    assert Study(journal, space, sampler="tpe", seed=1, parallel=3).from_before == 4
    records = run(journal, space, 12, "tpe")
    assert [record.arch for record in records[:4]] == before
    assert (records[0].reward, records[2].error) == (0.4, "diverged")
    assert len({record.arch for record in records}) == 12
    assert read_records(journal, space) == records
    assert len(loaded(journal).trials) == 6 + 8


def test_what_the_first_version_left_waiting_is_evaluated_and_read_again(
    tmp_path: Path, space: Space
) -> None:
    """That version wrote a network's latency with its result, and was killed before."""
    journal = tmp_path / "journal.log"
    of_the_first_version(journal, space)
    study, values = loaded(journal), space.sample(77)
    study.enqueue_trial(values)
    trial = study.ask()
    for name in values:
        trial.suggest_categorical(name, space.choices[name])
    records = run(journal, space, 6)
    waited = next(record for record in records if record.number == trial.number)
    assert waited.arch == space.decode(values)
    assert waited.latency_ms == MacsDevice().predict(waited.arch).ms
    assert read_records(journal, space) == records


def test_a_result_that_was_cut_off_counts_for_nothing(tmp_path: Path, space: Space) -> None:
    """A worker was lost, and so was the line that ends the trial; then the network is scored."""
    journal = tmp_path / "journal.log"
    objectives = Objectives(space, MacsDevice(), [Target(Soft(1.0), 1.0, 1.5, 1.0)])
    study = Study(journal, space, sampler="random", seed=1)
    arch = study.propose(objectives).arch
    lost = Record(0, arch, None, 1.0, None, "worker lost", 3.0)
    study.tell(study.pending()[0], lost)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    study = Study(journal, space, sampler="random", seed=1)
    scored = replace(lost, accuracy=0.5, reward=0.5, error=None, seconds=4.0)
    study.tell(study.pending()[0], scored)
    (found,) = read_records(journal, space)
    assert (found.accuracy, found.error, found.seconds) == (0.5, None, 4.0)


def test_a_trial_takes_little_room(tmp_path: Path, space: Space) -> None:
    journal = tmp_path / "journal.log"
    run(journal, space, 20)
    assert journal.stat().st_size / 20 <= 6000
    assert len(space.choices) == 70


def test_a_trial_is_one_line_and_its_result_is_on_the_disk_when_told(
    tmp_path: Path, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, lines_at_sync = tmp_path / "journal.log", []

    def fsync(_: int) -> None:
        lines_at_sync.append(journal.exists() and len(journal.read_bytes().splitlines()))

    monkeypatch.setattr(os, "fsync", fsync)
    run(journal, space, 2, parallel=1)
    kinds = [json.loads(line)["op_code"] for line in journal.read_text().splitlines()]
    assert kinds == [0, 4, 8, 8, 6, 4, 8, 8, 6]
    assert lines_at_sync == [False, 5, 9]  # the file is made with its first line in it


def test_blank_lines_are_passed_over(tmp_path: Path, space: Space) -> None:
    whole = run(tmp_path / "whole", space, 8)
    journal = tmp_path / "journal.log"
    run(journal, space, 4)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"\n" + b"".join([*lines[:3], b"\n", b"  \n", *lines[3:]]))
    assert [one.arch for one in run(journal, space, 8)] == [one.arch for one in whole]


@pytest.mark.parametrize("content", [b"", b"\n", b'{"op_code":0,"worker'])
def test_an_empty_journal_is_begun(tmp_path: Path, space: Space, content: bytes) -> None:
    whole = run(tmp_path / "whole", space, 4)
    journal = tmp_path / "journal.log"
    journal.write_bytes(content)
    assert [one.arch for one in run(journal, space, 4)] == [one.arch for one in whole]
    if content != b"\n":  # which Optuna does not pass over
        assert len(loaded(journal).trials) == 4


def test_a_line_cut_anywhere_is_named(tmp_path: Path, space: Space) -> None:
    journal = tmp_path / "journal.log"
    run(journal, space, 3)
    lines = journal.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        for share in (0.2, 0.5, 0.99):
            cut = line[: max(1, int(len(line) * share) - 1)] + b"\n"
            journal.write_bytes(b"".join([*lines[: number - 1], cut, *lines[number:]]))
            with pytest.raises(UsageError, match=rf"journal.log, line {number} is not a line"):
                run(journal, space, 3)


def test_another_file_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    journal.write_text('{"op_code": 10}\n{"op": 1}\n')
    with pytest.raises(UsageError, match=r"journal.log, line 2 is not a line of an Optuna journal"):
        read_journal(journal)


def test_a_full_disk_leaves_whole_lines(
    tmp_path: Path, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal.log"
    whole = run(tmp_path / "whole", space, 6)
    run(journal, space, 3)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(BneckError, match=r"cannot write .*journal.log: No space left"):
            run(journal, space, 6)
    assert [one.arch for one in run(journal, space, 6)] == [one.arch for one in whole]
