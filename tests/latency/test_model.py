"""A latency model as a file, what it says of its predictions, and its page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bneck.errors import UsageError
from bneck.latency.calibration import page as calibration_page
from bneck.latency.calibration.page import write_page
from bneck.latency.features import Blocking, Kernel
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.model import LatencyModel, load
from bneck.latency.runtimes import open_runtime
from bneck.latency.warn import warn_elsewhere, warn_extrapolated, warn_foreign
from bneck.space import presets, spaces
from bneck.space.cost import cost


def test_saved_and_loaded_it_predicts_the_same(macs_model: LatencyModel, tmp_path: Path) -> None:
    macs_model.save(tmp_path / "latency.json")
    again = load(tmp_path / "latency.json")
    arch = presets.build("mobilenet_v3_small", resolution_px=64)
    assert again == macs_model
    assert again.predict(arch) == macs_model.predict(arch)


def test_lines_of_an_earlier_version_are_those_of_64(
    macs_model: LatencyModel, tmp_path: Path
) -> None:
    """12 us for every thousand numbers that a 3x3 depthwise convolution reads at such widths."""
    rate = {"depthwise 3x3/1 @on lines": [0.012] * len(macs_model.coefficients["hswish"])}
    by_pixel = replace(macs_model, blocking=Blocking(16, 1, in_memory=False))
    replace(by_pixel, coefficients=by_pixel.coefficients | rate).save(tmp_path / "earlier.json")
    earlier = load(tmp_path / "earlier.json")
    for channels, ms in ((64, 0.012 * 64 * 14 * 14 / 1000), (48, 0.0), (72, 0.0)):
        kernel = Kernel("depthwise", channels, channels, 3, 1, 14, "relu")
        assert earlier.kernel_ms(kernel) - by_pixel.kernel_ms(kernel) == pytest.approx(ms)


def test_a_file_of_an_earlier_version_is_read(macs_model: LatencyModel, tmp_path: Path) -> None:
    """Held-out networks had another name, the ensemble's usual spread was noted, the range not."""
    file = tmp_path / "earlier.json"
    macs_model.save(file)
    content = json.loads(file.read_text())
    content |= {"judged": content.pop("held_out"), "disagreement": 0.01}
    del content["seen"]
    file.write_text(json.dumps(content))
    assert load(file) == replace(macs_model, seen={})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"format": "other"}, "is not a latency model"),
        ({"resolution_px": "64"}, "resolution_px must be a whole number"),
        ({"resolution_px": None}, "resolution_px must be a whole number"),
        ({"extra": 1}, "unknown key in LatencyModel: 'extra'"),
        ({"coefficients": {"hswish": [float("nan")]}}, r"hswish\[0\] must be a finite number"),
        ({"coefficients": {"hswish": []}}, "'hswish' must be a list of numbers"),
        ({"coefficients": {"a": [1.0], "b": [1.0, 2.0]}}, "must have the same length"),
        ({"device": {"cpu": "x"}}, "device lacks the key 'cores'"),
        ({"scale": []}, "scale must be an object"),
        ({"scale": {"reference_ms": 1, "seen_ms": [1]}}, "seen_ms must be two times or none, got"),
        ({"scale": {"reference_ms": 1, "seen_ms": [0, 1]}}, "seen_ms must be above 0, got 0"),
        ({"blocking": {"grid": 0, "alignment": 1}}, "grid must be above 0, got 0"),
        ({"blocking": {"grid": 10**400, "alignment": 1}}, "grid must be a number from 0 to 1e.09,"),
        ({"resolution_px": 10**9}, "resolution must be a whole number from 8 to 2048"),
        ({"scale": {"reference_ms": 1.0, "classes": 0}}, "classes must be a whole number from 2"),
        ({"scale": {"reference_ms": 1e300}}, "reference_ms must be a number from 0 to 1e.09, got"),
        ({"coefficients": {"hswish": [1e300]}}, "'hswish' must be a number from 0 to 1e.60, got"),
        ({"error": 1e300}, "error must be a number from 0 to 1e.60, got 1e.300"),
        ({"error": -0.1}, "error must not be negative"),
        ({"coefficients": {"hswish": [-1.0]}}, "'hswish' must not be negative, got -1.0"),
        ({"coefficients": {"hswish": [0.0]}}, "all coefficients are 0"),
        ({"seen": {"add on 7 px": [8]}}, "must be two widths"),
        ({"held_out": [[1.0]]}, "held_out must be pairs of ms"),
        ({"held_out": [[1.0, 0.0]]}, "measured ms in held_out must be above 0, got 0.0"),
    ],
)
def test_a_damaged_file_is_one_line(
    macs_folder: Path, tmp_path: Path, spoil: dict[str, object], message: str
) -> None:
    content = json.loads((macs_folder / "latency.json").read_text())
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(content | spoil))
    with pytest.raises(UsageError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_extrapolation_says_so(
    macs_model: LatencyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    small = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    assert macs_model.extrapolated(small) == []
    warn_extrapolated(macs_model, small)
    assert capsys.readouterr().err == ""
    wide = presets.build("mobilenet_v3_small", width=4.0, resolution_px=64, classes=10)
    warn_extrapolated(macs_model, wide)
    assert "extrapolated: wider than anything timed in the calibration at s" in (
        capsys.readouterr().err
    )


def test_more_classes_than_were_timed_are_an_extrapolation(
    macs_model: LatencyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """V3-Small's hidden layer, of 1024, is wider than its classifier of 1000."""
    few, many = (
        presets.build("mobilenet_v3_small", resolution_px=64, classes=classes)
        for classes in (5, 1000)
    )
    assert macs_model.extrapolated(few) == []
    assert macs_model.extrapolated(many) == ["head.classifier"]
    warn_extrapolated(macs_model, many)
    assert capsys.readouterr().err == (
        "warning: extrapolated: wider than anything timed in the calibration at head.classifier\n"
    )


def test_a_model_of_another_device_warns_with_both(
    macs_model: LatencyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_elsewhere(macs_model, macs_model.device)
    assert capsys.readouterr().err == ""
    here = Fingerprint("Cortex-A72", 4, "onnxruntime", "1.20.0", 2)
    warn_elsewhere(macs_model, here)
    said = capsys.readouterr().err
    assert "Cortex-A72, 4 cores, onnxruntime 1.20.0, 2 threads" in said
    assert str(macs_model.device) in said
    ms_are = "measured ms are ratios to a reference network there, times its ms on the former"
    assert said.endswith(f"]: {ms_are}\n")
    warn_foreign(macs_model)
    assert capsys.readouterr().err == ""
    larger = replace(macs_model.device, cores=macs_model.device.cores + 1)
    warn_foreign(replace(macs_model, device=larger))
    assert f"{larger.cores} cores, macs 1, 1 thread], this machine is" in capsys.readouterr().err
    warn_foreign(replace(macs_model, device=here))
    said = capsys.readouterr().err
    assert "is of [Cortex-A72, 4 cores," in said
    assert f"this machine is [{macs_model.device.cpu}, " in said


def test_what_all_weights_cost_is_in_every_reading(macs_model: LatencyModel) -> None:
    """2 ns a weight beyond a million: alone, and shared out over the layers."""
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    rate = {"network @weights over 1000": [0.002] * len(macs_model.coefficients["hswish"])}
    spilling = replace(macs_model, coefficients=macs_model.coefficients | rate)
    small = presets.build("mobilenet_v3_small", width=0.35, resolution_px=64, classes=10)
    assert spilling.predict(small) == macs_model.predict(small)
    archs = [space.decode(space.sample(seed)) for seed in range(20)]
    over = [max(0.0, cost(arch).params / 1e6 - 1) for arch in archs]
    added = [spilling.predict(arch).ms - macs_model.predict(arch).ms for arch in archs]
    np.testing.assert_allclose(added, np.array(over) * 2, atol=0.1)
    assert max(added) > 1
    for arch in archs[:3]:
        assert sum(spilling.breakdown(arch).values()) == pytest.approx(spilling.predict(arch).ms)


def test_the_page_needs_nothing_else(macs_model: LatencyModel, tmp_path: Path) -> None:
    write_page(macs_model, tmp_path / "latency.html")
    page = (tmp_path / "latency.html").read_text()
    assert "noise floor" in page
    assert "1x1 convolution" in page
    assert re.search('<(script|link|img)[^>]*"http', page) is None


def test_kernels_are_drawn_by_channels_that_are_read_fast(macs_model: LatencyModel) -> None:
    """Where others take longer, a curve of all of them went up and down too often to be read."""
    for alignment, axis in ((1, "channels"), (4, "channels, in multiples of 4")):
        blocking = replace(macs_model.blocking, alignment=alignment)
        figures = list(calibration_page._curves(replace(macs_model, blocking=blocking)))
        assert figures
        for figure in figures:
            assert figure.layout.xaxis.title.text == axis
            assert all(channels % alignment == 0 for curve in figure.data for channels in curve.x)


def test_the_page_fits_on_a_phone(macs_model: LatencyModel, tmp_path: Path) -> None:
    write_page(macs_model, tmp_path / "latency.html")
    page = (tmp_path / "latency.html").read_text()
    assert '<meta name="viewport" content="width=device-width' in page
    assert page.count('"responsive": true') == 4  # pictures


def test_the_page_gives_errors_as_shares_of_the_measured_time(macs_model: LatencyModel) -> None:
    """Predictions of 1.2 and 0.5 ms of networks that take 1 ms are 20 % over and 50 % under it."""
    held_out = [[1.2, 1.0], [0.5, 1.0]]
    errors = calibration_page._errors(replace(macs_model, held_out=held_out))
    assert list(errors.data[0].x) == pytest.approx([20, -50])
    drawn = calibration_page._predicted(replace(macs_model, held_out=held_out)).data
    assert (list(drawn[-1].x), list(drawn[-1].y)) == ([1.0, 1.0], [1.2, 0.5])
    assert [line.y[0] / line.x[0] for line in drawn[:3]] == pytest.approx([1.1, 1.0, 0.9])


def test_the_page_draws_what_was_timed_and_no_more(
    macs_model: LatencyModel, tmp_path: Path
) -> None:
    """A space of one's own may have other activations than ReLU, and other windows than 3x3."""
    page = tmp_path / "latency.html"
    for left_out, drawn in (("depthwise relu", True), ("depthwise 3x3/1", False)):
        rest = {n: own for n, own in macs_model.coefficients.items() if n != left_out}
        write_page(replace(macs_model, coefficients=rest), page)
        assert "1x1 convolution, as many channels" in page.read_text()
        assert ("3x3 depthwise, as many channels" in page.read_text()) is drawn


def test_a_doubtful_calibration_is_said(macs_model: LatencyModel) -> None:
    assert macs_model.report.doubt == ""
    bad = replace(macs_model.report, mape_percent=10.0, busy="other programs used 1.2 cores")
    said = bad.doubt
    assert "other programs used 1.2 cores during the calibration" in said
    assert "predictions are off by 10.0 % on average" in said
    assert "target as a share of a network's latency" in said
    assert "give the target" not in said  # which may be such a share
    again = replace(macs_model.report, repeat_mape_percent=5.0)
    assert "measuring a network again differs by 5.0 %" in again.doubt


def test_a_latency_model_of_somebody_else_runs_nothing(
    macs_model: LatencyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "payload.py").write_text("open('PWNED', 'w').close()")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "latency.json"
    macs_model.save(file)
    value = json.loads(file.read_text())
    value["device"]["runtime"] = "payload:Macs"
    file.write_text(json.dumps(value))
    found = load(file)
    with pytest.raises(UsageError, match="a file names the runtime"):
        open_runtime(found.device.runtime)
    assert not (tmp_path / "PWNED").exists()


def test_a_prediction_is_as_unsure_as_the_model_and_its_ensemble_together(
    macs_model: LatencyModel,
) -> None:
    """Two members 20 % below and above their mean, and an error of 15 % of the model's own."""
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    mean = {name: float(np.mean(own)) for name, own in macs_model.coefficients.items()}
    apart = {name: [0.8 * own, 1.2 * own] for name, own in mean.items()}
    found = replace(macs_model, coefficients=apart, error=0.15).predict(arch)
    assert found.ms == pytest.approx(macs_model.predict(arch).ms)
    assert found.std_ms == pytest.approx(0.25 * found.ms)
