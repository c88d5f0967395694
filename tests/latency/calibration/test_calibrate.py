"""What a calibration learns, how it stops and resumes, and which measurements it takes."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.errors import NotCalibrated, UsageError
from bneck.latency import fit
from bneck.latency.calibration.calibrate import BRIEF, MOST_SYNTHETIC, calibrate
from bneck.latency.calibration.networks import calibration_network
from bneck.latency.device_load import QUIET, Load
from bneck.latency.devices import Graph, open_device
from bneck.latency.devices.local import LocalDevice
from bneck.latency.features import Blocking
from bneck.latency.fit import find_blocking
from bneck.latency.measure import reference
from bneck.latency.measurements import Measurement, Store, read
from bneck.latency.model import LatencyModel
from bneck.latency.runtimes.macs import MACS_PER_NS, MacsRuntime
from bneck.space import presets, spaces
from bneck.space.cost import cost
from bneck.space.edits import narrow
from tests.latency.machines import Blocked


def test_multiply_adds_are_learnt_exactly(macs_model: LatencyModel) -> None:
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    assert macs_model.predict(arch).ms == pytest.approx(
        cost(arch).macs / MACS_PER_NS / 1e6, rel=0.01
    )
    assert macs_model.report.mape_percent < 0.5
    assert macs_model.report.within_5_percent == 100
    assert macs_model.channel_grid == 1


def test_the_breakdown_adds_up(macs_model: LatencyModel) -> None:
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    parts = macs_model.breakdown(arch)
    assert sum(parts.values()) == pytest.approx(macs_model.predict(arch).ms)
    assert next(iter(parts)) == "stem.conv"
    assert "s1.b1.depthwise" in parts


def test_what_was_never_timed_is_an_error(macs_model: LatencyModel) -> None:
    with pytest.raises(NotCalibrated, match="64 px, not at 96 px"):
        macs_model.predict(presets.build("mobilenet_v3_small", resolution_px=96))
    with pytest.raises(NotCalibrated, match="relu6"):
        macs_model.predict(presets.build("mobilenet_v2", resolution_px=64))
    arch = presets.build("mobilenet_v3_small", resolution_px=64)
    block = replace(arch.stages[1][0], kernel=9)  # type: ignore[type-var]
    unseen = replace(arch, stages=(arch.stages[0], (block, *arch.stages[1][1:]), *arch.stages[2:]))
    with pytest.raises(NotCalibrated, match=r"s2\.b1\.depthwise: never timed .* 9x9/2"):
        macs_model.predict(unseen)


def test_the_block_of_a_blocked_device_is_found(tmp_path: Path) -> None:
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    device = LocalDevice(runtime=Blocked(grid=16))
    model = calibrate([space], device, folder=tmp_path, minutes=0.04)
    assert model.channel_grid == 16
    assert model.report.mape_percent < 1
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    wide = narrow(arch, "s3.b2.expand", 224)
    between = narrow(arch, "s3.b2.expand", 220)
    assert model.predict(wide).ms < model.predict(arch).ms
    assert model.predict(between).ms == pytest.approx(model.predict(wide).ms, rel=0.01)


@pytest.mark.parametrize("minutes", [0.04, 1e-6])
def test_a_fifth_of_the_time_goes_to_held_out_networks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    """Of 2.4 s; of no time at all 40 networks are timed to fit, and then so many again."""
    monkeypatch.setattr("bneck.latency.calibration.calibrate.model_from", lambda *_, **__: None)
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    device = LocalDevice(runtime=Blocked(noise=0.02))
    calibrate([space], device, folder=tmp_path, minutes=minutes)
    seconds = {"fit": 0.0, "held-out": 0.0, "repeat": 0.0}
    items = read(tmp_path / "measurements.jsonl")[1]
    for item in items:
        seconds[item.name.split()[0]] += item.seconds
    whole = sum(seconds.values())
    assert seconds["repeat"] / whole == pytest.approx(0.2, abs=0.03)
    if minutes == 0.04:
        assert whole == pytest.approx(2.4, rel=0.05)
    else:
        assert sum(item.name.startswith("fit") for item in items) == 40


@pytest.mark.parametrize(
    ("blocking", "noise"),
    [(Blocking(4, 1), 0.2), (Blocking(8, 1), 0.2), (Blocking(16, 1, False), 0.05)],
)
def test_blocks_are_told_apart_under_noise(
    blocking: Blocking, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Blocking(4, 1), Blocking(8, 1), Blocking(16, 1), Blocking(16, 1, False)
    monkeypatch.setattr(fit, "BLOCKINGS", known)
    space = spaces.build("v3-small")
    runtime = Blocked(grid=blocking.grid, in_memory=blocking.in_memory, noise=noise)
    device = LocalDevice(runtime=runtime)
    drawn = [calibration_network([space], number, seed=0) for number in range(300)]
    graphs = [Graph(arch.layers()) for _, arch in drawn]
    items = [
        Measurement(name, arch, timing, 0.0)
        for (name, arch), (timing, _) in zip(
            drawn, device.time(graphs, reference(224, 1000), BRIEF), strict=True
        )
    ]
    assert find_blocking(items) == blocking


def test_the_stated_deviation_is_the_models_and_not_the_noise(tmp_path: Path) -> None:
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    device = LocalDevice(runtime=Blocked(grid=8, noise=0.2))
    model = calibrate([space], device, folder=tmp_path, minutes=0.06)
    assert model.report.repeat_mape_percent > 0.8
    quiet = Blocked(grid=8)
    errors = []
    for seed in range(900, 960):
        arch = space.decode(space.sample(seed))
        before = quiet.clock()
        quiet.prepare(arch.layers())()
        measured = (quiet.clock() - before) / 1e6
        predicted = model.predict(arch)
        errors.append(abs(predicted.ms - measured) / predicted.std_ms)
    inside = sum(error <= 2 for error in errors) / len(errors)
    assert inside >= 0.9


def test_calibration_resumes_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bneck.latency.calibration.calibrate.model_from", lambda *_, **__: None
    )  # slow, not asked
    space = spaces.build("v3-small", resolution_px=32)
    calibrate(
        [space], LocalDevice(runtime=MacsRuntime()), folder=tmp_path, minutes=1e-6
    )  # as many networks as a fit needs
    path = tmp_path / "measurements.jsonl"
    begun = path.read_text()
    assert begun.count('"fit ') >= 40
    path.write_text(begun + '{"name": "cut sh')
    calibrate([space], LocalDevice(runtime=MacsRuntime()), folder=tmp_path, minutes=0.01)
    assert path.read_text().startswith(begun)
    done = path.read_text()
    calibrate([space], LocalDevice(runtime=MacsRuntime()), folder=tmp_path, minutes=0.01)
    assert path.read_text() == done
    other = spaces.build("v3-small", resolution_px=64)
    with pytest.raises(UsageError, match="holds measurements of"):
        calibrate([other], LocalDevice(runtime=MacsRuntime()), folder=tmp_path, minutes=0.01)
    ten = spaces.build("mnasnet", resolution_px=32, classes=10)
    said = "of spaces ['v3-small'], classes 1000, not of spaces ['mnasnet'], classes 10: name"
    with pytest.raises(UsageError, match=re.escape(said)):  # what differs alone
        calibrate([ten], LocalDevice(runtime=MacsRuntime()), folder=tmp_path, minutes=0.01)
    with pytest.raises(UsageError, match=r"of batch size 1, not of batch size 2: name another"):
        calibrate(
            [space], LocalDevice(runtime=MacsRuntime(batch_size=2)), folder=tmp_path, minutes=0.01
        )


class Watched(LocalDevice):
    """Multiply-adds, on a machine that does something else as well."""

    def __init__(self, load: Load) -> None:
        super().__init__(runtime=MacsRuntime())
        self.load = load

    def watch(self) -> Callable[[], Load]:
        return lambda: self.load


def test_what_kept_the_device_busy_is_told_of_all_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command again would have called the calibration that it found a quiet one."""
    said: list[str] = []
    monkeypatch.setattr(
        "bneck.latency.calibration.calibrate.model_from", lambda *_, busy: said.append(busy)
    )
    space = spaces.build("v3-small", resolution_px=32)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate([space], Watched(Load(3.0, 0.0)), folder=tmp_path, progress=interrupt)
    header, items, _ = read(tmp_path / "measurements.jsonl")
    assert len(items) == 1
    for load, minutes in ((Load(1.0, 0.0), 1e-6), (QUIET, 1e-6), (QUIET, 0.01)):
        calibrate([space], Watched(load), folder=tmp_path, minutes=minutes)
    assert [busy[:29] for busy in said] == ["other programs used 1.0 cores"] * 2 + [""]
    sessions = Store(tmp_path / "measurements.jsonl", header).sessions
    assert [one.load.other_cores for one in sessions] == [3.0, 1.0, 0.0]


def test_the_seed_draws_the_networks(tmp_path: Path) -> None:
    space = spaces.build("v3-small", resolution_px=32)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    device = LocalDevice(runtime=MacsRuntime())
    with pytest.raises(KeyboardInterrupt):
        calibrate([space], device, folder=tmp_path, seed=3, progress=interrupt)
    (item,) = read(tmp_path / "measurements.jsonl")[1]
    of_seeds = [calibration_network([space], 0, seed) for seed in (3, 0)]
    assert (item.name, item.arch) == of_seeds[0]
    assert item.arch != of_seeds[1][1]


def test_a_measurement_that_stands_there_twice_is_named(macs_folder: Path, tmp_path: Path) -> None:
    lines = (macs_folder / "measurements.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path / "measurements.jsonl"
    path.write_text("".join([*lines, lines[1]]))
    with pytest.raises(UsageError, match="is damaged: 'fit 0' was measured twice"):
        read(path)


def test_a_second_process_does_not_measure_into_the_same_file(tmp_path: Path) -> None:
    """All stood there twice then, and neither could be resumed."""
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    refusals = []

    def second(*_: object) -> None:
        if not refusals:
            with pytest.raises(UsageError, match=r"another process is at work on .*measure") as no:
                calibrate([space], LocalDevice(runtime=MacsRuntime()), folder=tmp_path)
            refusals.append(no)

    device = LocalDevice(runtime=MacsRuntime())
    model = calibrate([space], device, folder=tmp_path, minutes=0.001, progress=second)
    assert refusals
    assert calibrate([space], device, folder=tmp_path, minutes=0.001) == model


def test_measurements_that_a_power_loss_left_as_zeros_are_none(tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    path.write_bytes(bytes(4096))
    assert Store(path, {"seed": 0}).items == {}
    assert read(path) == ({"seed": 0}, [], [])


def test_spaces_of_two_sides_are_refused(tmp_path: Path) -> None:
    both = [spaces.build("v3-small", resolution_px=side) for side in (32, 64)]
    with pytest.raises(UsageError, match=r"one input side, got \[32, 64\]"):
        calibrate(both, LocalDevice(runtime=MacsRuntime()), folder=tmp_path)


@pytest.mark.slow
def test_a_device_without_noise_needs_no_minutes(tmp_path: Path) -> None:
    """Its own clock would take hours to spend two minutes: some hundred networks say all."""
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    header = []
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        model = calibrate([space], open_device(runtime="macs"), folder=folder, minutes=2.0)
        header.append((model.report.networks, model.coefficients))
    assert header[0] == header[1]
    assert header[0][0] == MOST_SYNTHETIC


def test_a_clock_without_noise_is_asked_once(macs_folder: Path, macs_model: LatencyModel) -> None:
    names = [item.name for item in read(macs_folder / "measurements.jsonl")[1]]
    assert {name.split()[0] for name in names} == {"fit", "held-out"}
    assert macs_model.report.repeat_mape_percent == 0
    assert macs_model.report.networks == len(names)
    assert macs_model.report.held_out == sum(name.startswith("held-out") for name in names)
