"""The reproduction's stages on real digits; the device counts multiply-adds."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bneck import records
from bneck.cli import run
from bneck.derivation.session import Session
from bneck.derivation.stages.long_trainings import LongTraining, TrainingJob
from bneck.derivation.training_budget import budget
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.proxies.data import loading
from bneck.quantities import Latency
from bneck.reproduction.measuring import MeasuredNetwork
from bneck.reproduction.pipeline import Reproduction
from bneck.reproduction.plan import ReproductionPlan
from bneck.reproduction.results import plan_of
from bneck.reproduction.width_baseline import narrowest_over
from bneck.results.run import Run
from bneck.space import presets
from bneck.space.cost import cost
from tests.command_line import json_of
from tests.small_networks import three_stages

QUICK = [
    "--data=digits", "--resolution=16", "--runtime=macs", "--calibration-minutes=0.003",
    "--factors=1.0,0.8", "--repeated=1.0", "--seeds=2", "--evaluations=3", "--sampler=random",
    "--search-steps=10", "--fine-tune-steps=2", "--delta=0.12", "--epochs=1", "--workers=1",
    "--promote", "--augmentation=random-resized-crop",
    "--random-networks=30",
]  # fmt: skip


@pytest.mark.slow
def test_every_stage_leaves_what_the_summary_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["reproduce", "v3-small", f"--out={out}", *QUICK]
    for stage in ("calibrate", "search-paper", "search-derived", "netadapt"):
        assert run([*command, f"--stage={stage}"]) == 0, capsys.readouterr().err
    assert "Nothing is measured yet" in capsys.readouterr().out
    exponents = [
        Run.read(out / name).plan.get("reward_exponent")
        for name in ("search-paper", "search-derived")
    ]
    assert exponents == [-0.15, None]  # the paper's for Small, and one of the target's
    result = json_of(capsys, *command)
    assert result["stages"][-1] == "likeness"
    text = Path(result["summary"]).read_text()
    assert "derived-1x: " in text
    assert "against mobilenet_v3_small at" in text
    assert "Latencies are of one session, with trained weights. ± is" in text
    assert "Percentiles among 30 random networks" in text
    assert run([*command, "--stage=measure"]) == 0  # done already: nothing is measured again
    assert (out / "netadapt" / "0.8x" / "steps.jsonl").exists()
    assert "width multiplier" in (out / "family.svg").read_text()
    assert (out / "path-1x.svg").exists()


def test_a_reproduction_is_listed_as_ended_and_names_its_own_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, command = tmp_path / "run", "bneck reproduce v3-small"
    done = json_of(capsys, "reproduce", "v3-small", f"--out={out}", *QUICK, "--stage=calibrate")
    assert done == {"summary": str(out / "summary.md"), "stages": ["calibrate"]}
    (out / "made_with.jsonl").write_text(
        (out / "made_with.jsonl").read_text().replace(Path(sys.argv[0]).name, command)
    )
    (listed,) = json_of(capsys, "runs", out)["runs"]
    assert (listed["state"], listed["best"]) == ("finished", "see its summary.md")
    plan = plan_of(Run.read(out))
    assert (plan.factors, plan.evaluations, plan.promote) == ("1.0,0.8", 3, True)
    assert run(["report", str(out)]) == 2
    assert "a run of `bneck reproduce`, whose report is its summary.md" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["v9"], "unknown reproduction 'v9'; known: v3-small"),
        (["v3-small", "--stage=rest"], "unknown stage 'rest'; known: calibrate, search-paper"),
        (["v3-small", "--stage=netadapt"], "builds on search-paper, which is not done"),
        (["v3-small", "--stage=train-0.8"], "builds on measure, which is not done"),
        (["v3-small", "--stage=train-1", "--factors=0.8"], "builds on measure, which is not done"),
        (["v3-small", "--stage=measure-trained"], "builds on measure, which is not done"),
        (["v3-small", "--stage=likeness"], "builds on search-paper, which is not done"),
        (["v3-small", "--factors=fast"], "factors must be numbers above 0 and at most 10 like"),
        (["v3-small", "--factors=1.0,1"], "factors '1.0,1' names a number twice"),
        (["v3-small", "--repeated=0.7"], "repeated 0.7 is not one of the factors 1.0,0.8"),
        (["v3-small", "--seeds=1001"], "seeds must be a whole number from 1 to 1000, got 1001"),
        (["v3-small", "--seed=4294967295"], "the last seed must be a whole number from 0 to"),
        (["v3-small", "--random-networks=9"], "random-networks must be a whole number from 10 to"),
    ],
)
def test_bad_requests_are_named(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reproduce", f"--out={tmp_path}/run", *QUICK, *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run" / "seconds.json").exists()  # no stage counts as begun


def test_a_stage_that_cannot_be_done_moves_no_training_out_of_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another --epochs of the same command would."""
    command = ["reproduce", "v3-small", f"--out={tmp_path}", "--data=digits", "--epochs=2"]
    Run.open(tmp_path, ReproductionPlan(data="digits", epochs=1.0).as_dict()).close()
    trained = tmp_path / "checkpoints" / "derived-1x-seed0.json"
    trained.parent.mkdir()
    trained.write_text("{}")
    before = (tmp_path / "plan.toml").read_text()
    for stage, words in (("rest", "unknown stage 'rest'; known: cal"), ("netadapt", "is not done")):
        assert run([*command, f"--stage={stage}"]) == 2
        assert words in capsys.readouterr().err
        assert trained.exists()
        assert (tmp_path / "plan.toml").read_text() == before


def test_a_reproduction_of_an_earlier_version_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its plan says nothing of what that version could not be asked."""
    plan = ReproductionPlan(data="digits", epochs=1.0).as_dict()
    for name in ("batch_size", "promote", "device"):
        del plan[name]
    Run.open(tmp_path, plan).close()
    command = ["reproduce", "v3-small", f"--out={tmp_path}", "--data=digits", "--epochs=1"]
    assert run([*command, "--stage=netadapt"]) == 2
    assert "this stage builds on search-paper, which is not done" in capsys.readouterr().err


def test_no_reproduction_lies_among_its_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "a.png").touch()
    out = tmp_path / "photos" / "cat" / "run"
    command = ["reproduce", "v3-small", f"--data=folder:{tmp_path}/photos", f"--out={out}"]
    assert run([*command, "--stage=netadapt"]) == 2
    assert "its files would count as images: name an --out elsewhere" in capsys.readouterr().err
    assert not out.exists()


def test_minutes_to_wait_for_a_quiet_device_reach_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def noted(_: ReproductionPlan, session: Session) -> None:
        waits.append(session.wait_quiet)
        raise UsageError("noted")

    monkeypatch.setattr("bneck.reproduction.pipeline.Reproduction", noted)
    command = ["reproduce", "v3-small", f"--out={tmp_path}/run", *QUICK, "--wait-quiet=0.5"]
    assert run(command) == 2
    assert waits == [0.5]


def test_networks_of_the_repeated_factors_are_trained_from_a_seed_each(tmp_path: Path) -> None:
    """From the plan's seed on; the others once."""
    plan = ReproductionPlan(
        data="digits", resolution_px=16, factors="1.0,0.6", repeated="0.6", seeds=2, seed=3,
        epochs=0.05,
    )  # fmt: skip
    session = Session(Run(tmp_path, {}), plan.whole(), Serial(), Serial())
    work, small = Reproduction(plan, session), three_stages()
    for name, factor in (("fast", 0.6), ("slow", 1.0)):
        one = MeasuredNetwork(name, "derived", factor, small, Latency(factor))
        records.append(work.results.compared_file, one)
    for stage in ("train-0.6", "train-1"):
        work.stages[stage]()
    trained = {file.stem for file in session.run.checkpoints.glob("*.safetensors")}
    assert trained == {"fast-seed0", "fast-seed1", "slow-seed0"}
    asked = budget(plan.whole(), loading.load("digits", resolution_px=16, seed=3).info)
    task = LongTraining(asked.images, asked.final, tmp_path)
    task(TrainingJob("expected", small, 4))
    fifth, second = (tmp_path / name for name in ("expected.safetensors", "checkpoints/fast-seed1"))
    assert fifth.read_bytes() == second.with_suffix(".safetensors").read_bytes()


def test_stages_are_those_of_the_plan(tmp_path: Path) -> None:
    """Also where MobileNetV3-Small's own latency is none of the factors: it is trained too."""
    plan = ReproductionPlan(data="digits", factors="0.6,1.5", repeated="0.6")
    session = SimpleNamespace(run=Run(tmp_path, {}))
    stages = tuple(Reproduction(plan, cast(Session, session)).stages)
    assert stages == plan.stages
    assert [one for one in stages if "train-" in one] == ["train-0.6", "train-1.5", "train-1"]


def test_the_plan_shares_what_both_kinds_of_plan_know() -> None:
    part = ReproductionPlan(data="digits", seed=3, epochs=2.0).part(target="1.0")
    assert (part.data, part.seed, part.epochs, part.target) == ("digits", 3, 2.0, "1.0")


def test_the_least_multiplier_over_a_latency() -> None:
    class Counting:
        def measure(self, arch: object) -> object:
            return type("Measured", (), {"ms": cost(arch).macs / 1e6})

    size = {"resolution_px": 32, "classes": 10}
    for width in (0.35, 0.75, 1.0):
        goal_ms = cost(presets.build("mobilenet_v3_small", width=width, **size)).macs / 1e6
        found, arch = narrowest_over("mobilenet_v3_small", goal_ms, Counting(), **size)
        assert found <= width
        assert cost(arch).macs / 1e6 == goal_ms
    with pytest.raises(UsageError, match=r"at width 2 takes .* ms, not 1e\+06"):
        narrowest_over("mobilenet_v3_small", 1e6, Counting(), **size)
