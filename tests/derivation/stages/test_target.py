"""What a plan's targets are, and that one out of reach costs no calibration."""

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.target import check_feasible
from bneck.derivation.target import keep_targets, parse, runs_of_other_targets
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.latency.model import load
from bneck.proxies.data import loading
from bneck.results.run import Run
from bneck.space import spaces
from bneck.space.cost import cost


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("0.0001", "no network of space v3-small meets a target of 0.0001 ms on this device: the "
                  "smallest takes about"),
        ("60", "no network of space v3-small is as slow as 60 ms on this device: the largest takes "
               "about"),
        ("0.05x:mobilenet_v3_small", "the smallest takes about"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["derive", "search"])
def test_a_target_out_of_reach_costs_no_calibration(
    command: str, target: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    asked = ["--data=digits", "--resolution=16", "--runtime=macs", "--calibration-minutes=60"]
    assert run([command, f"--target={target}", *asked, f"--out={out}"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in error
    assert not (out / "latency.work").exists()
    assert not (out / "plan.toml").exists()  # a mistake begins no run


@pytest.mark.parametrize(
    ("share", "of_smallest", "refused"),
    [(1 / 1.55, True, False), (1 / 1.58, True, True), (1.24, False, False), (1.26, False, True)],
)
def test_a_target_is_refused_where_neither_the_ceiling_nor_an_error_of_25_percent_spans_it(
    share: float, of_smallest: bool, refused: bool, tmp_path: Path
) -> None:
    """A search goes up to 1.25 times its target: from 1.25 x 1.25 times on, nothing will do."""
    space, sign = spaces.build("v3-small", resolution_px=16, classes=10), 1 if of_smallest else -1
    macs = cost(space.least(lambda arch: sign * cost(arch).macs)).macs
    plan = Plan(target=repr(share * macs / 1e9), runtime="macs")
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    data = RunData(loading.load("digits", resolution_px=16).info)
    said = pytest.raises(UsageError, match=r"meets a target of|is as slow as")
    with said if refused else nullcontext():
        check_feasible(session, data, space)


@pytest.mark.parametrize("target", ["0.00001", "0.01x:mobilenet_v3_small"])
def test_a_target_that_no_narrowing_reaches_costs_no_calibration(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """V3-Small's narrowest has 1.7 % of its 1.59 million multiply-adds at 16 px."""
    out = tmp_path / "run"
    asked = ["--data=digits", "--resolution=16", "--runtime=macs", "--calibration-minutes=60"]
    assert run(["shrink", "mobilenet_v3_small", f"--target={target}", *asked, f"--out={out}"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("bneck: no narrowing of mobilenet_v3_small reaches ")
    assert error.endswith(" on this device: the narrowest takes about 2.69e-05 ms")
    assert not out.exists()  # a mistake begins no run


@pytest.mark.parametrize("command", ["derive", "search"])
def test_a_target_out_of_reach_of_a_model_from_elsewhere_begins_no_run(
    command: str, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was timed, and a better target must not be refused as another plan."""
    asked = ["--data=digits", "--resolution=16", "--runtime=macs", f"--latency={digits_latency}"]
    assert run([command, "--target=0.0001", *asked, f"--out={tmp_path / 'run'}"]) == 2
    assert "is predicted under 0.000125 ms" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("targets", "band"),
    [
        ("--target=0.0016", "from 0.0016 to 0.00162 ms"),
        ("--targets=0.0012,0.0016", "from 0.0012 to 0.00121 ms"),
    ],
)
def test_a_ceiling_within_the_models_error_begins_no_run(
    targets: str,
    band: str,
    digits_latency: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With 90 % confidence a network must be 1.28 x 2 % under a ceiling that is 1 % away."""
    model = replace(load(digits_latency), error=0.02)
    model.save(tmp_path / "rough.json")
    asked = ["--data=digits", "--resolution=16", "--runtime=macs", "--seed-factor=1.01"]
    asked += [f"--latency={tmp_path / 'rough.json'}", targets]
    assert run(["search", *asked, f"--out={tmp_path / 'run'}"]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == (
        f"bneck: no network was found that is predicted {band} with 90 % confidence; give a larger "
        "--seed-factor"
    )
    assert "search: 0" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("space", "said"), [("v3-small", False), ("v3-large", True)])
def test_a_model_of_narrower_networks_says_so_before_anything_is_predicted_by_it(
    space: str, said: bool, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data=digits", "--resolution=16", "--runtime=macs", f"--latency={digits_latency}"]
    asked += [f"--space={space}", "--target=0.0001"]
    assert run(["search", *asked, f"--out={tmp_path / 'run'}"]) == 2
    words = "extrapolated: wider than anything timed in the calibration at "
    assert (words in capsys.readouterr().err) is said


def test_targets_that_would_share_their_files_are_refused_before_the_search(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = "1.0x:mobilenet_v3_small,1.00001x:mobilenet_v3_small"
    asked = ["--data=digits", "--resolution=16", "--runtime=macs", f"--latency={digits_latency}"]
    assert run(["search", f"--targets={targets}", *asked, f"--out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(
        r"bneck: targets: 1.00001x:mobilenet_v3_small is another of [0-9.e-]+ ms: leave it out",
        error,
    )
    assert not (tmp_path / "run" / "journal.log").exists()


def test_the_derivations_for_other_targets_are_read_with_their_plans(tmp_path: Path) -> None:
    with Run.open(tmp_path, {"targets": "1,2,3", "space": "mnasnet"}) as whole:
        keep_targets(whole, [1.0, 2.0, 3.0])
        Run.open(whole.run_of_target(2.0), {"target": "2", "space": "mnasnet"}).close()
        (begun,) = runs_of_other_targets(whole)
    assert (begun.folder.name, begun.plan) == ("2ms", {"target": "2", "space": "mnasnet"})


@pytest.mark.parametrize("text", ["2ms", "2 ms"])
def test_a_target_with_its_unit_is_told_without_it(text: str) -> None:
    with pytest.raises(UsageError, match=rf"got '{text}'; did you mean 2\?$"):
        parse(text)
    for other in ("0ms", "2 m", "fastms"):
        with pytest.raises(UsageError, match=rf"got '{other}'$"):
            parse(other)
