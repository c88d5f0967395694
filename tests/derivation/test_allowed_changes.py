"""Which files make way where a plan changes, and which changes are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.derivation.allowed_changes import CHANGES, change_plan, supersede
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_run
from bneck.errors import UsageError
from bneck.progress import silent
from bneck.proxies.proxy import ELASTIC
from bneck.results.plan_change import CHANGE
from bneck.results.run import Run
from tests.derivation.quick_search import ONE, TWO


@pytest.mark.parametrize(
    ("change", "of_before"),
    [
        ({"epochs": 2.0}, {"classification.json"}),
        ({"evaluations": 3}, {"classification.json", "inherited.json"}),
    ],
)
def test_what_is_said_of_the_network_before_makes_way(
    change: dict[str, float], of_before: set[str], tmp_path: Path
) -> None:
    """Both files are written once, so that a run would show those of its former network."""
    before = Plan(target=ONE, evaluations=2, epochs=1.0)
    for name in ("classification.json", "inherited.json", "latency.json"):
        (tmp_path / name).write_text("{}")
    change_plan(Run(tmp_path, replace(before, **change).as_dict()), before.as_dict(), silent)
    kept = {path.name for path in (tmp_path / "superseded/1").iterdir()}
    assert kept == of_before | {CHANGE}


def test_shared_weights_of_a_shorter_training_are_kept_aside(tmp_path: Path) -> None:
    (tmp_path / ELASTIC).write_text("weights")
    before = Plan(elastic=True, epochs=1.0)
    change_plan(Run(tmp_path, replace(before, epochs=2.0).as_dict()), before.as_dict(), silent)
    assert not (tmp_path / ELASTIC).exists()
    assert (tmp_path / "superseded/1" / ELASTIC).read_text() == "weights"


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"epochs": 2.0}, {"derived", "finished-1ms", "teacher", "network", "mobilenet_v3_small"}),
        *(
            (how, {"derived", "finished-1ms", "teacher", "network", "mobilenet_v3_small"})
            for how in (
                {"augmentation": "random-resized-crop"},
                {"branches": True},
                {"teacher": "seed"},
                {"from_scratch": True},
            )
        ),
        ({"finish": "scratch"}, {"derived", "finished-1ms", "teacher"}),
        ({"delta": 0.1}, {"derived", "finished-1ms", "teacher", "seed"}),
        ({"fine_tune_steps": 9}, {"derived", "finished-1ms", "teacher", "seed"}),
        ({"importance": "taylor"}, {"derived", "finished-1ms", "teacher", "seed"}),
        ({"evaluations": 3}, {"derived", "finished-1ms", "teacher", "seed"}),
        ({"promote": True}, {"derived", "finished-1ms", "teacher", "seed"}),
    ],
)
def test_trainings_of_another_kind_make_way(
    change: dict[str, object], again: set[str], tmp_path: Path
) -> None:
    before = Plan(target=ONE, evaluations=2, epochs=1.0, finish="fine-tune")
    trainings = {"derived", "finished-1ms", "teacher", "network", "mobilenet_v3_small", "seed"}
    (tmp_path / "checkpoints").mkdir()
    for name in trainings:
        (tmp_path / "checkpoints" / f"{name}.safetensors").touch()
    change_plan(Run(tmp_path, replace(before, **change).as_dict()), before.as_dict(), silent)
    moved = {path.stem for path in (tmp_path / "superseded/1/checkpoints").iterdir()}
    assert moved == again
    assert {path.stem for path in (tmp_path / "checkpoints").iterdir()} == trainings - again


@pytest.mark.parametrize(
    ("files", "change", "kept"),
    [
        ({"network.json"}, "epochs", "nothing is reused, what was done is kept in superseded/"),
        ({"latency.json"}, "epochs", "reusing the calibration"),
        (
            {"latency.json", "journal.log", "winners.json", "steps.jsonl", "network.json"},
            "epochs",
            "reusing the calibration, the search and NetAdapt's steps",
        ),
        (
            {"latency.json", "journal.log", "winners.json", "steps.jsonl"},
            "evaluations",
            "reusing the calibration and the networks evaluated so far",
        ),
    ],
)
def test_only_what_a_run_has_is_said_to_be_reused(
    tmp_path: Path, files: set[str], change: str, kept: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    before = Plan(target=ONE, evaluations=2, epochs=1.0)
    after = replace(before, **{change: 3})
    lines: list[str] = []
    run = Run(tmp_path, after.as_dict())
    change_plan(run, before.as_dict(), lambda _what, _done, _of, line="": lines.append(line))
    assert [line.partition(": ")[2] for line in lines] == [kept]


@pytest.mark.parametrize("name", [name for name, files in CHANGES.items() if files])
def test_a_run_whose_change_was_killed_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The driver dies as it moves the second file."""
    run = Run(tmp_path, {})
    for file in ("result.json", "model.onnx", "baselines.jsonl", "winners.json", "shrunk.jsonl"):
        (tmp_path / file).write_text("{}")
    monkeypatch.setattr(run.plan_change, "move", moved_once(run.plan_change.move))
    with pytest.raises(InterruptedError):
        supersede(run, CHANGES[name][::-1])  # in whatever order they are named
    assert not run.result.exists()
    assert run.baselines.exists()


def moved_once(move: Callable[[Path], None]) -> Callable[[Path], None]:
    moved = []

    def first(path: Path) -> None:
        if moved:
            raise InterruptedError
        moved.append(path)
        move(path)

    return first


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('evaluations = "many"', "evaluations must be a whole number, got 'many'"),
        ("folds = 0", "folds must be a whole number from 1 to 20, got 0"),
        ('colour = "red"', "--colour was red, now not given"),
    ],
)
def test_a_plan_that_was_edited_by_hand_is_named_where_another_takes_its_place(
    tmp_path: Path, line: str, message: str
) -> None:
    """Told once, as every message: no value on the command line was wrong."""
    before, file = Plan(target=ONE, evaluations=2), tmp_path / "plan.toml"
    open_run(before, tmp_path, silent).close()
    name = line.partition(" ")[0]
    lines = [one for one in file.read_text().splitlines() if not one.startswith(f"{name} ")]
    file.write_text("\n".join([*lines, line, ""]))
    with pytest.raises(UsageError) as error:
        open_run(replace(before, target=None, targets=TWO), tmp_path, silent)
    assert message in str(error.value)
    assert str(error.value).count("plan.toml") == (name != "colour")


def test_a_run_of_train_is_not_shrunk_in_its_folder(tmp_path: Path) -> None:
    trained = Plan(seed_network="mobilenet_v3_small")
    shrunk = Run(tmp_path, replace(trained, target="1.0").as_dict())
    with pytest.raises(UsageError, match=r"--target was not given, now 1\.0; use another --out"):
        change_plan(shrunk, trained.as_dict(), silent)


@pytest.mark.parametrize(
    ("data", "linked"),
    [("folder:/home/bob/photos", True), ("npz:photos.npz", False), ("digits", False)],
)
def test_where_images_lie_belongs_to_the_plan_and_a_link_can_lie_there(
    tmp_path: Path, data: str, linked: bool
) -> None:
    """As where somebody else goes on with a run."""
    before = Plan(data="folder:/home/ada/photos")
    after = Run(tmp_path, replace(before, data=data).as_dict())
    with pytest.raises(UsageError) as error:
        change_plan(after, before.as_dict(), silent)
    message = f"--data was folder:/home/ada/photos, now {data}; use another --out or the same plan"
    hint = "; images that were moved can be linked to there" if linked else ""
    assert str(error.value) == message + hint


def test_a_plan_that_names_no_data_and_another_table_are_refused_without_that_hint(
    tmp_path: Path,
) -> None:
    """A plan may have been edited by hand, and a table holds no images."""
    table = Plan(data="table:one.csv").as_dict()
    for was in ({k: v for k, v in table.items() if k != "data"}, table):
        after = Run(tmp_path, table | {"data": "table:other.csv"})
        with pytest.raises(
            UsageError, match=r"now table:other\.csv; use another --out or the same plan$"
        ):
            change_plan(after, was, silent)
