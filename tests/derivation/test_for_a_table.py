"""Runs for a published table of latencies: all of them are predicted, and called so."""

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.session import planned_device
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.validation import check
from bneck.errors import UsageError
from bneck.latency.block_names import block_names
from bneck.latency.calibration.calibrate import calibrate
from bneck.latency.devices.table import TableDevice
from bneck.latency.predictor import load_kept
from bneck.latency.published_table import PublishedTable
from bneck.quantities import Latency, at_most_ms
from bneck.results.stage_result import Found
from bneck.results.summary import finished_stage
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture, block_path
from bneck.space.cost import cost, leaf_macs
from bneck.space.edits import narrow, narrowables
from bneck.space.layers import leaves
from tests.command_line import json_of
from tests.derivation.begun_run import assert_goes_on

SPACE = spaces.build("nas-bench-macro", resolution_px=16, classes=10)
SMALL = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)


def entries(arch: Architecture) -> dict[str, float]:
    """Block -> ms, 1 ns for each multiply-add."""
    ms: dict[str, float] = defaultdict(float)
    for leaf in leaves(arch.layers()):
        path = block_path(leaf.path)
        ms[leaf.path if path in ("stem", "head") else path] += leaf_macs(leaf) / 1e6
    return {name: ms[path] for path, name in block_names(arch.layers())}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All blocks of the space and narrower ones, with a standard deviation of 2 %."""
    found = entries(SMALL)
    for seed in range(100):
        found |= entries(SPACE.decode(SPACE.sample(seed)))
    alike = [SPACE.decode({n: v[op] for n, v in SPACE.choices.items()}) for op in range(3)]
    for arch in (*alike, SMALL):
        for item in narrowables(arch):
            for width in range(8, item.width, 8):
                with suppress(UsageError):  # an expansion as narrow as its input
                    found |= entries(narrow(arch, item.what, width))
    path = tmp_path_factory.mktemp("table") / "phone.csv"
    lines = (f"{name},{max(ms, 1e-6)},{0.02 * ms}\n" for name, ms in found.items())
    path.write_text("block,ms,std_ms\n" + "".join(lines))
    return path


def opened(path: Path) -> TableDevice:
    device = planned_device(Plan(target="1", target_device=f"table:{path}"))
    assert isinstance(device, TableDevice)
    return device


def test_everything_asks_the_table_and_a_target_is_met_with_its_confidence(
    table: Path, tmp_path: Path
) -> None:
    device = opened(table)
    device.published.check_space(SPACE)
    target = TargetDevice(device.published, device, tmp_path / "history", lambda: None)
    took = target.measure(SMALL)
    assert took.predicted
    assert took.ms == pytest.approx(cost(SMALL).macs / 1e6, rel=1e-3)
    assert target.at_most(SMALL).ms == at_most_ms(took.latency) > took.ms
    assert not (tmp_path / "history").exists()


def test_a_run_keeps_the_table_and_refuses_another(table: Path, tmp_path: Path) -> None:
    device, kept = opened(table), tmp_path / "latency.json"
    device.published.save(kept)
    found = load_kept(kept)
    assert found == device.published
    assert isinstance(found, PublishedTable)
    device.check_kept(found)
    (tmp_path / "short.csv").write_text("".join(table.read_text().splitlines(True)[:100]))
    with pytest.raises(UsageError, match=r"table:.*short\.csv has changed since this run began"):
        opened(tmp_path / "short.csv").check_kept(found)
    kept.write_text(kept.read_text().replace('"name"', '"nome"'))
    with pytest.raises(UsageError, match=r"latency\.json: unknown key in PublishedTable: 'nome'"):
        load_kept(kept)


def test_what_a_table_cannot_serve_is_one_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wider = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    with pytest.raises(UsageError, match=r"lacks 18 of the 19 blocks .*macro have, such as stem"):
        opened(table).published.check_space(wider)
    with pytest.raises(UsageError, match=r"table:.*phone\.csv needs no calibration"):
        calibrate([SPACE], opened(table), folder=tmp_path)
    with pytest.raises(UsageError, match=r"table:.* predicts by itself: leave out --latency"):
        check(Plan(target="1", target_device=f"table:{table}", latency="x"), trains=False)
    with pytest.raises(UsageError, match=r"no such file: nowhere\.csv"):
        check(Plan(target="1", target_device="table:nowhere.csv"))
    command = ["shrink", "mobilenet_v2", "--target", "1", "--target-device", f"table:{table}"]
    assert run([*command, "--resolution", "16", "--out", str(tmp_path / "run")]) in (1, 2)
    said = capsys.readouterr().err.splitlines()
    assert "has no block" in said[-1]
    assert not any("Traceback" in line for line in said)


def test_a_table_that_lacked_a_block_is_mended_and_the_command_run_again(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy that a run keeps of a table is no work: a mistake leaves no folder."""
    asked = ["shrink", "mobilenet_v3_small", "--data=digits", "--resolution=16", "--target=0.0001"]
    asked += [f"--target-device=table:{tmp_path / 'mine.csv'}", f"--out={tmp_path / 'run'}"]
    whole = table.read_text().splitlines(keepends=True)
    lacking = next(iter(entries(SMALL)))
    without = [line for line in whole if not line.startswith(f"{lacking},")]
    for lines, words in ((without, f"has no block {lacking}"), (whole, "no narrowing reaches")):
        (tmp_path / "mine.csv").write_text("".join(lines))
        assert run(asked) == 2
        assert words in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "run").exists()


def test_a_run_that_was_begun_with_threads_of_a_table_goes_on(table: Path, tmp_path: Path) -> None:
    """Earlier versions passed over what is refused now."""
    begun = Plan(target="1", target_device=f"table:{table}", threads=2)
    assert_goes_on(begun, tmp_path, "--threads has no effect on table:")


def test_latency_by_a_table_is_called_predicted(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["latency", "mobilenet_v3_small", "--resolution", "16", "--classes", "10"]
    arguments += ["--measure", "--target-device", f"table:{table}"]
    found = json_of(capsys, *arguments)
    assert found["measured_ms"] is None
    assert found["predicted_ms"] == pytest.approx(cost(SMALL).macs / 1e6, rel=1e-3)


def test_a_stages_result_is_met_only_with_confidence() -> None:
    found = Found("step 3", SMALL, None, 1.0, Latency(0.99, 0.001), None)
    assert finished_stage([found], "NetAdapt")[0] == (
        "The target of 1.00 ms is met: 0.990 ± 0.001 ms predicted, not measured."
    )
    unsure = Found("step 3", SMALL, None, 1.0, Latency(0.99, 0.1), None)
    assert "is missed" in finished_stage([unsure], "NetAdapt")[0]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["search", "shrink", "derive"])
def test_it_runs_to_its_end_and_says_predicted(
    command: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, list[str]] = {
        "search": ["--evaluations", "2", "--search-steps", "10"],
        "shrink": ["mobilenet_v3_small", "--fine-tune-steps", "2", "--search-steps", "10"],
    }
    options["derive"] = [*options["search"], "--fine-tune-steps", "2", "--epochs", "0.3"]
    target = "1.5" if command == "shrink" else "12"
    arguments = ["--target", target, "--data", "digits", "--resolution", "16"]
    arguments += ["--target-device", f"table:{table}", "--space", SPACE.name]
    found = json_of(capsys, command, *options[command], *arguments, "--out", tmp_path / "run")
    found = found["networks"][0] if command == "search" else found
    assert found["latency_is"] == "predicted"
    assert found["measured_ms"] is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "predicted, not measured" in page or "predicted only: not measured" in page
    if command == "derive":
        card = (tmp_path / "run" / "model_card.md").read_text()
        assert "on the device of the table phone.csv" in card
        assert str(table.parent) not in card
