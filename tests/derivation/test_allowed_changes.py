"""A changed mind on the same folder: what is reused, what is done anew, what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bneck import records
from bneck.cli import run
from bneck.derivation.allowed_changes import CHANGES, change_plan, supersede
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_run, open_session
from bneck.derivation.target import keep_targets, kept_targets
from bneck.errors import UsageError
from bneck.progress import silent
from bneck.proxies.proxy import ELASTIC
from bneck.quantities import Latency
from bneck.results.checksums import seal
from bneck.results.classification import Classification
from bneck.results.plan_change import CHANGE
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult, Shrunk
from bneck.space import presets

PLAN = {
    "data": "digits",
    "resolution": 16,
    "runtime": "macs",
    "calibration-minutes": 0.003,
    "sampler": "random",
    "evaluations": 2,
    "search-steps": 2,
    "fine-tune-steps": 1,
    "delta": 0.2,
    "epochs": 0.1,
    "workers": 1,
}
ONE, TWO = "0.85x:mobilenet_v3_small", "0.85x:mobilenet_v3_small,0.8x:mobilenet_v3_small"


SEARCH = [
    f"--{name}={value}"
    for name, value in PLAN.items()
    if name not in ("fine-tune-steps", "delta", "epochs")
]


def derive(out: Path, **changes: object) -> int:
    asked = {"target": ONE, **PLAN, **changes}
    options = [f"--{name}={value}" for name, value in asked.items() if value is not None]
    return run(["derive", *options, f"--out={out}"])


def trials(out: Path) -> list[str]:
    """Lines of the journal that say a network's accuracy."""
    return [line for line in (out / "journal.log").read_text().splitlines() if "accuracy" in line]


@pytest.mark.slow
def test_changes_reuse_what_they_leave_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert derive(out) == 0
    latency, steps = (out / "latency.json").read_bytes(), (out / "steps.jsonl").read_bytes()
    first = records.read(out / "result.json", Outcome)
    searched = trials(out)
    capsys.readouterr()

    assert derive(out, epochs=0.2) == 0
    said = capsys.readouterr().err
    assert "--epochs was 0.1, now 0.2: reusing the calibration, the search and NetAdapt's" in said
    assert (out / "steps.jsonl").read_bytes() == steps
    assert trials(out) == searched
    longer = records.read(out / "result.json", Outcome)
    assert longer.arch == first.arch
    assert records.read(out / "superseded/1/result.json", Outcome) == first
    weights = [
        (place / "weights.safetensors").read_bytes() for place in (out, out / "superseded/1")
    ]
    assert weights[0] != weights[1]  # so few steps may leave two networks equally accurate
    assert records.read(out / "classification.json", Classification).accuracy == longer.accuracy

    assert derive(out, epochs=0.2, evaluations=4) == 0
    assert "reusing the calibration and the networks evaluated so far" in capsys.readouterr().err
    assert len(trials(out)) > len(searched)
    assert trials(out)[: len(searched)] == searched
    (selected,) = records.read(out / "winners.json", SearchResult).networks

    assert derive(out, epochs=0.2, evaluations=4, target=None, targets=TWO) == 0
    kept, added = records.read(out / "winners.json", SearchResult).networks
    assert kept == selected
    assert added.target_ms == pytest.approx(kept.target_ms * 0.8 / 0.85, rel=1e-3)
    inner = Run.read(out / "targets" / f"{added.target_ms:.4g}ms")
    assert inner.read_state() == Run.read(out).read_state() == "finished"

    # A longer final training reaches the derivations inside the run too.
    inner_steps = records.read_lines(inner.steps, Step)
    assert derive(out, epochs=0.3, evaluations=4, target=None, targets=TWO) == 0
    assert records.read_lines(inner.steps, Step) == inner_steps
    assert json.loads((inner.folder / "result.json").read_text())["accuracy"] is not None
    assert (out / "latency.json").read_bytes() == latency


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search."""
    out = tmp_path_factory.mktemp("searched") / "run"
    assert run(["search", f"--target={ONE}", *SEARCH, f"--out={out}"]) == 0
    return out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evaluations": 1}, "--evaluations was 2, now 1"),
        ({"target": "0.5"}, f"--target was {ONE}, now 0.5"),
        ({"seed": 1}, "--seed was 0, now 1"),
        ({"runtime": "onnxruntime"}, "--runtime was macs, now onnxruntime"),
    ],
)
def test_what_needs_a_run_of_its_own_is_refused(
    change: dict[str, object], words: str, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in searched.iterdir())
    assert derive(searched, **change) == 2
    said = capsys.readouterr().err
    assert words in said
    reused = "another --out, and --latency" in said
    assert reused == ("runtime" not in change)  # the calibration holds for the same device only
    assert sorted(path.name for path in searched.iterdir()) == before


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


def test_with_a_further_target_every_target_is_decided_again(tmp_path: Path) -> None:
    """The network of a faster one may be more accurate than that of each slower one."""
    before = Plan(targets="1,0.9")
    for file in ("result.json", "network.json"):
        for place in (tmp_path, tmp_path / "targets/0.9ms"):
            place.mkdir(parents=True, exist_ok=True)
            (place / file).write_text("{}")
    change_plan(Run(tmp_path, Plan(targets="1,0.9,0.5").as_dict()), before.as_dict(), silent)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert left == {
        "network.json", "targets/0.9ms/network.json",
        "superseded/1/result.json", "superseded/1/targets/0.9ms/result.json",
        f"superseded/1/{CHANGE}",
    }  # fmt: skip


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
        ({"finish": "scratch"}, {"derived", "finished-1ms", "teacher"}),
        ({"delta": 0.1}, {"derived", "finished-1ms", "teacher", "seed"}),
        ({"evaluations": 3}, {"derived", "finished-1ms", "teacher", "seed"}),
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


def everything_in(folder: Path) -> dict[Path, bytes]:
    """But what says when something was begun and how long it took."""
    left_out = ("made_with.jsonl", "seconds.json", "measured.jsonl", "checksums.json")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in left_out)
    return {path: path.read_bytes() for path in files}


def test_a_mistake_in_another_plan_changes_nothing(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the run could be continued with the mistake alone: no target can be taken away."""
    out = shutil.copytree(searched, tmp_path / "run")
    before = everything_in(out)
    command = ["search", *SEARCH, f"--out={out}"]
    assert run([*command, f"--targets={ONE},0.0001"]) == 2
    assert "is predicted under 0.000125 ms" in capsys.readouterr().err
    assert everything_in(out) == before
    assert run([*command, f"--targets={TWO}"]) == 0
    assert len(json.loads((out / "target.json").read_text())["targets_ms"]) == 2


def test_a_further_target_that_gets_no_network_is_refused_and_gets_one_by_more_evaluations(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both networks are for 0.85 to 1.06 x, and none is as slow as the further target."""
    out = shutil.copytree(searched, tmp_path / "run")
    (known,) = records.read(out / "winners.json", SearchResult).networks
    command = ["search", f"--targets={ONE},1.2x:mobilenet_v3_small", *SEARCH, f"--out={out}"]
    for _ in range(2):
        assert run(command) == 2
        (error,) = [line for line in capsys.readouterr().err.splitlines() if "none of" in line]
        refused = r"bneck: none of the 2 networks that the search scored is predicted from "
        assert re.fullmatch(refused + r"\S+ to \S+ ms; give more --evaluations", error)
    assert records.read(out / "winners.json", SearchResult).networks == (known,)
    assert run([*command, "--evaluations=4"]) == 0
    kept, added = records.read(out / "winners.json", SearchResult).networks
    assert kept == known
    assert added.target_ms <= added.measured.ms <= 1.25 * added.target_ms


def test_a_further_target_may_be_left_out_again(searched: Path, tmp_path: Path) -> None:
    """NetAdapt may not meet it, however often it measures; then another may take its place."""
    out = shutil.copytree(searched, tmp_path / "run")
    (known,) = records.read(out / "winners.json", SearchResult).networks
    for share in (0.8, None, 0.83):
        further = "" if share is None else f",{share}x:mobilenet_v3_small"
        asked = f"--target{'s' * bool(further)}={ONE}{further}"
        assert run(["search", asked, *SEARCH, f"--out={out}"]) == 0
        targets_ms = json.loads((out / "target.json").read_text())["targets_ms"]
        shares = [1.0] if share is None else [1.0, share / 0.85]
        assert targets_ms == pytest.approx([known.target_ms * one for one in shares], rel=1e-3)
        networks = records.read(out / "winners.json", SearchResult).networks
        assert networks[0] == known
        assert [one.target_ms for one in networks] == targets_ms
        names = {f"{one:.4g}ms.json" for one in targets_ms}
        assert {file.name for file in out.glob("targets/*")} == names


def test_what_makes_way_with_a_target_that_is_left_out(tmp_path: Path) -> None:
    before = Plan(targets="1,0.9,0.8")
    keep_targets(Run(tmp_path, {}), [1.0, 0.9, 0.8])
    trained = "checkpoints/derived-0.8ms.json"
    of_others = ("targets/0.9ms/result.json", "targets/0.8ms/result.json")
    for name in ("result.json", trained, *of_others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    change_plan(Run(tmp_path, Plan(targets="1,0.9").as_dict()), before.as_dict(), silent)
    superseded = tmp_path / "superseded/1"
    left = {path.relative_to(superseded).as_posix() for path in superseded.rglob("*.json")}
    assert left == {"target.json", "result.json", trained, *of_others, CHANGE}
    assert kept_targets(Run(tmp_path, {})) == (1.0, 0.9)
    assert [place.name for place in tmp_path.glob("targets/*")] == ["0.9ms"]


@pytest.mark.parametrize("targets", ["1", "1,0.9", "1,0.9,0.8"])
def test_targets_change_together_with_what_replaces_the_work_for_all(
    targets: str, tmp_path: Path
) -> None:
    """Their files made way first, and the folder that holds them could not follow."""
    before = Plan(targets="1,0.9")
    keep_targets(Run(tmp_path, {}), [1.0, 0.9])
    files = ("targets/0.9ms/result.json", "targets/0.9ms/plan.toml", "targets/1ms.json")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    after = Plan(targets=targets, delta=0.1, promote=True)
    change_plan(Run(tmp_path, after.as_dict()), before.as_dict(), silent)
    assert all((tmp_path / "superseded/1" / name).is_file() for name in files)
    assert not (tmp_path / "targets").exists()


def test_a_target_that_shrink_has_met_is_not_left_out(tmp_path: Path) -> None:
    """The run's network may be that one's."""
    before = Plan(seed_network="mobilenet_v3_small", targets="1,0.9")
    shrunk = Run(tmp_path, replace(before, targets="1").as_dict())
    keep_targets(shrunk, [1.0, 0.9])
    arch = presets.build("mobilenet_v3_small")
    took = Latency(0.9, 0.0)
    records.append(shrunk.shrunk, Shrunk(0.9, arch, 1, took, took, None, False))
    with pytest.raises(UsageError, match=r"--targets was 1,0\.9, now 1; use another --out"):
        change_plan(shrunk, before.as_dict(), silent)


def test_no_target_is_left_out_while_networks_for_it_are_evaluated(tmp_path: Path) -> None:
    before = Plan(targets="1,0.9")
    searching = Run(tmp_path, replace(before, targets="1").as_dict())
    keep_targets(searching, [1.0, 0.9])
    searching.journal.touch()
    with pytest.raises(UsageError, match=r"--targets was 1,0\.9, now 1; use another --out"):
        change_plan(searching, before.as_dict(), silent)
    records.write(searching.winners, SearchResult(()))
    change_plan(searching, before.as_dict(), silent)
    assert kept_targets(searching) == (1.0,)


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


@pytest.mark.slow
def test_promotion_continues_a_finished_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["search", f"--target={ONE}", f"--out={out}", *SEARCH]
    assert run(command) == 0
    before = trials(out)
    capsys.readouterr()
    stopped = out / "checkpoints" / "search" / "of-a-training-that-a-time-limit-ended.checkpoint"
    stopped.parent.mkdir(parents=True)
    stopped.touch()
    assert run([*command, "--promote"]) == 0
    assert not stopped.parent.exists()
    assert "reusing the calibration and the networks evaluated so far" in capsys.readouterr().err
    assert trials(out)[: len(before)] == before
    assert len(trials(out)) == len(before) + 2 + 2  # both networks on both further rungs
    assert run(command) == 2
    assert "--promote was True, now False" in capsys.readouterr().err


def test_only_what_others_changed_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not what the next command itself writes and moves, as where a plan is changed."""
    plan, workers = Plan(target="1.0", evaluations=2), Execution(workers=1)

    def warned_by(evaluations: int) -> list[str]:
        with open_session(replace(plan, evaluations=evaluations), tmp_path / "run", workers):
            pass
        lines = capsys.readouterr().err.splitlines()
        return [line for line in lines if "was changed since" in line]

    assert warned_by(2) == []
    records.write(tmp_path / "run" / "seed.json", presets.build("mobilenet_v3_small"))
    seal(tmp_path / "run")
    assert warned_by(2) == []
    assert warned_by(3) == []
    assert not (tmp_path / "run" / "seed.json").exists()  # it is superseded
    (tmp_path / "run" / "target.json").write_text('{"target_ms": 1.0}')
    assert warned_by(3) == [
        f"warning: {tmp_path}/run/target.json was changed since the run's last command ended"
    ]


def test_a_removed_file_stays_named_until_it_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", tmp_path / "run" / "weights.safetensors"

    def opened_again() -> list[str]:
        with open_session(Plan(target="1.0", evaluations=2), run, Execution(workers=1)):
            pass
        lines = capsys.readouterr().err.splitlines()
        return [line for line in lines if file.name in line]

    assert opened_again() == []
    file.write_bytes(b"weights")
    seal(run)
    file.unlink()
    said = f"warning: {file} is missing: it was removed since the run's last command ended"
    assert opened_again() == opened_again() == [said]
    file.write_bytes(b"weights")
    assert opened_again() == []


def test_a_removed_file_that_no_command_makes_again_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a target that is left out, or of what an earlier change replaced."""
    folder, asked = tmp_path / "run", Plan(evaluations=2, targets="2.0,1.0")
    with open_session(asked, folder, Execution(workers=1)) as session:
        keep_targets(session.run, [2.0, 1.0])
        for name in ("targets/1ms/network.json", "superseded/1/result.json", "weights.safetensors"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}")
    for name in ("targets", "superseded"):
        shutil.rmtree(folder / name)
    (folder / "weights.safetensors").unlink()
    capsys.readouterr()

    def missing() -> list[str]:
        with open_session(replace(asked, targets="2.0"), folder, Execution(workers=1)):
            pass
        return re.findall(rf"warning: {folder}/(\S+) is missing", capsys.readouterr().err)

    every = ["superseded/1/result.json", "targets/1ms/network.json", "weights.safetensors"]
    assert (missing(), missing()) == (every, ["weights.safetensors"])
