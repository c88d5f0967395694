"""A table in place of images: what a search answers from, and what it refuses."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bneck.cli import run
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session, open_session
from bneck.derivation.stages.data import data_stage
from bneck.derivation.validation import check
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.proxies import tabular
from bneck.results.run import Run
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.choices import Space


@pytest.fixture
def file(tmp_path: Path, space: Space, by_macs: Callable[[Architecture], float]) -> Path:
    path = tmp_path / "known.jsonl"
    archs = [space.decode(space.sample(seed)) for seed in range(30)]
    rows = [{"arch": codec.to_json(arch), "accuracy": by_macs(arch)} for arch in archs]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_search_answers_from_the_table_and_trains_nothing(
    file: Path, space: Space, tmp_path: Path, model, by_macs: Callable[[Architecture], float]
) -> None:
    plan = Plan(data=f"table:{file}", space="v3-small", target="2")
    notes: list[str] = []
    with Run.open(tmp_path / "run", plan.as_dict()) as run_:

        def progress(what: str, done: int, total: int, note: str = "") -> None:
            notes.append(note)

        data = data_stage(Session(run_, plan, Serial(), Serial(), progress))
        assert data.size == {"resolution_px": 32, "classes": 10}
        assert data.table is not None
        known = space.decode(space.sample(7))
        assert data.table(known) == by_macs(known)
        unknown = space.decode(space.sample(99))
        assert data.table(unknown) == pytest.approx(by_macs(unknown), abs=0.02)
        assert any("30 networks; rank correlation of the regression in band" in n for n in notes)
        found = search(
            Study(run_.journal, space, sampler="random", seed=0),
            data.table,
            objectives=Objectives(space, model, [Target(Soft(2.0), 2.0, ceiling_ms=2.0)]),
            evaluations=4,
            executor=Serial(),
        )
        assert max(record.latency_ms for record in found) <= 2.0
    file.write_text(file.read_text() + "\n")
    with (
        Run.open(tmp_path / "run", plan.as_dict()) as run_,
        pytest.raises(UsageError, match="no longer what this run began with"),
    ):
        data_stage(Session(run_, plan, Serial(), Serial()))


def test_a_search_of_a_table_ends_and_is_reported_again(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its facts of images hold no mean, which was taken for damage where the report is written."""
    asked = ["search", f"--data=table:{file}", "--target=1.0x:mobilenet_v3_small"]
    asked += ["--runtime=macs", "--calibration-minutes=0.001", "--evaluations=3"]
    asked += ["--sampler=random", f"--out={tmp_path / 'run'}"]
    for command in (asked, asked, ["report", str(tmp_path / "run")]):
        assert (run(command), capsys.readouterr().err.count("bneck: ")) == (0, 0)
    assert "known.jsonl" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("count", [5, 6, 7, 8])
def test_the_smallest_tables_answer_and_say_what_is_known_of_them(file: Path, count: int) -> None:
    file.write_text("\n".join(file.read_text().splitlines()[:count]))
    data = tabular.open_table(f"table:{file}", "v3-small", None)
    assert data is not None
    assert data.describe().fingerprint == hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    told = "too few to cross-validate" if count == 5 else "rank correlation of the regression"
    assert told in data.statement()


def test_a_table_that_was_edited_is_read_again(
    file: Path, space: Space, by_macs: Callable[[Architecture], float]
) -> None:
    """As in a notebook, whose process lives on."""
    tabular.open_table(f"table:{file}", "v3-small", None)
    unknown = space.decode(space.sample(99))
    row = json.dumps({"arch": codec.to_json(unknown), "accuracy": by_macs(unknown) / 2})
    file.write_text(f"{file.read_text()}\n{row}")
    data = tabular.open_table(f"table:{file}", "v3-small", None)
    assert data is not None
    assert data(unknown) == by_macs(unknown) / 2
    assert data.statement().startswith("31 networks;")


def test_what_a_table_cannot_do_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"table:{file}"
    assert tabular.open_table("digits", "v3-small", None) is None
    with pytest.raises(UsageError, match="name the file of the table: table:FILE"):
        tabular.open_table("table:", "v3-small", None)
    with pytest.raises(UsageError, match="holds networks for 32 px, not for 64"):
        tabular.open_table(data, "v3-small", 64)
    out = str(tmp_path / "run")
    assert run(["derive", "--target", "1", "--data", data, "--out", out]) == 2
    assert "holds accuracies and no images" in capsys.readouterr().err
    missing = f"table:{tmp_path / 'missing.csv'}"
    assert run(["search", "--target", "1", "--data", missing, "--out", out]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not Path(out).exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"proxy": "short-training"}, {"search_steps": 5}, {"folds": 3}, {"promote": True},
        {"pretrained": "imagenet"}, {"balanced": True}, {"skip_unreadable": True},
        {"score_int8": True, "runtime": "onnxruntime-int8"},
    ],
)  # fmt: skip
def test_what_is_asked_of_trainings_has_no_effect_on_a_table(
    file: Path, asked: dict[str, Any]
) -> None:
    """It was passed over, or asked for another proxy, which a table has none of."""
    option = next(iter(asked)).replace("_", "-")
    plan = Plan(data=f"table:{file}", target="1", **asked)
    with pytest.raises(UsageError, match=f"^--{option} has no effect on table:.*known.jsonl, whi"):
        check(plan, trains=False)
    check(Plan(data=f"table:{file}", target="1"), trains=False)


def test_a_run_that_was_begun_with_such_an_option_goes_on(file: Path, tmp_path: Path) -> None:
    """Earlier versions passed over what is refused now."""
    plan, alone = Plan(data=f"table:{file}", target="1", runtime="macs"), Execution(workers=1)
    begun = replace(plan, search_steps=5)
    Run.open(tmp_path / "run", begun.as_dict()).close()
    for same in (begun, replace(begun, evaluations=70)):  # more of them, which a run may be asked
        with open_session(same, tmp_path / "run", alone, trains=False) as session:
            assert session.plan == same
    for other, out in ((begun, "new"), (replace(begun, search_steps=6), "run")):
        with (
            pytest.raises(UsageError, match="--search-steps has no effect on table:"),
            open_session(other, tmp_path / out, alone, trains=False),
        ):
            pass


def test_a_table_of_the_whole_space_needs_no_regression(tmp_path: Path) -> None:
    """On the 3,969 networks of NAS-Bench-Macro it would take minutes at every start."""
    codes = ("".join(code) for code in product("012", repeat=8))
    rows = [f"{code},{50 + sum(map(int, code))}" for code in codes]
    path = tmp_path / "all.csv"
    path.write_text("\n".join(["arch,mean_acc", *rows]))
    data = tabular.open_table(f"table:{path}", "nas-bench-macro", None)
    assert data is not None
    tabular._regression.cache_clear()
    data.load()
    assert data.statement() == "3969 networks, all of the space nas-bench-macro"
    assert tabular._regression.cache_info().misses == 0


def test_a_published_table_names_its_space(shared_data: Path) -> None:
    data = f"table:{shared_data / 'nas_bench_macro.csv'}"
    with pytest.raises(UsageError, match="networks of nas-bench-macro, not of v3-small"):
        tabular.open_table(data, "v3-small", None)
