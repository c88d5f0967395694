"""Latency of a network on a calibrated device, without running it."""

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bneck import records
from bneck.errors import NotCalibrated, UsageError
from bneck.files import naming, read_json, write_json
from bneck.latency.calibration.calibrated_range import CalibratedRange, extrapolated
from bneck.latency.calibration.report import CalibrationReport
from bneck.latency.checks import MOST_FITTED, check_above, check_coefficients, check_not_negative
from bneck.latency.features import (
    ALL_WEIGHTS,
    Blocking,
    Kernel,
    features,
    kernels,
    label,
    refines,
    weights,
)
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.load_correction import LoadCorrection
from bneck.quantities import Latency
from bneck.space.architecture import Architecture, Part
from bneck.space.checks import check_classes, check_resolution

FORMAT = "bneck-latency-1"
Floats = NDArray[np.float64]
_SIZES = np.array(list(ALL_WEIGHTS.values()), np.float64)


@dataclass(frozen=True)
class LatencyModel:
    """Adds up what the kernels of a network cost on one device at one input side.

    Where all weights together do not fit a cache, fetching them is added.

    Attributes:
        scale: the usual ms of the reference (MobileNetV3-Small at the same side and classes)
            that all ratios were taken to.
        blocking: the block that the runtime rounds channels up to.
        coefficients: ms per unit of each feature, one for each member of an ensemble; the mean
            predicts, and where the members disagree little was measured.
        error: relative standard deviation of a careful measurement about the prediction, to which
            the ensemble's disagreement on the network is added.
        held_out: predicted and measured ms of each held-out network, before it joined the fit.
        seen: how wide the timed kernels were; empty where that is not known.
    """

    device: Fingerprint
    resolution_px: int
    scale: LoadCorrection
    blocking: Blocking
    coefficients: dict[str, list[float]]
    error: float
    report: CalibrationReport
    held_out: list[list[float]]
    seen: CalibratedRange = field(default_factory=dict)
    _known: dict[Kernel, Floats] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _parts: dict[Part, Floats] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The device it was calibrated on."""
        return str(self.device)

    @property
    def reference_ms(self) -> float:
        """Usual ms of the reference."""
        return self.scale.reference_ms

    @property
    def channel_grid(self) -> int:
        """Block that the runtime rounds channels up to: widths between its multiples waste time."""
        return self.blocking.grid

    def predict(self, arch: Architecture) -> Latency:
        """Latency of ``arch``.

        Raises:
            NotCalibrated: another input side, or a kernel, stride or activation never timed.
        """
        self.check_resolution(arch.resolution_px)
        parts = [self._part(part) for part in arch.parts()]
        summed = np.add.reduce(np.concatenate(parts))
        members = summed[:-1] + self._fetching(summed[-1])
        ms = float(members.mean())
        return Latency(ms, float(np.hypot(ms * self.error, members.std())))

    def knows(self, arch: Architecture) -> bool:
        """Return whether everything that a network runs was timed."""
        try:
            self.predict(arch)
        except NotCalibrated:
            return False
        return True

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        """ms by layer path, in the order they run; they add up to the prediction.

        What all weights together cost is shared out by the weights of each.
        """
        shares = self.shares(arch)
        all_weights = sum(own for _, own in shares.values())
        each = float(self.fetching_ms(np.array([all_weights]))[0]) / max(all_weights, 1e-9)
        return {path: ms + each * own for path, (ms, own) in shares.items()}

    def shares(self, arch: Architecture) -> dict[str, tuple[float, float]]:
        """(ms on its own, thousands of weights) by layer path, in the order they run."""
        self.check_resolution(arch.resolution_px)
        found: dict[str, Floats] = {}
        for path, kernel in kernels(arch.layers()):
            found[path] = found.get(path, 0.0) + self._kernel(path, kernel)
        return {path: (float(x[:-1].mean()), float(x[-1])) for path, x in found.items()}

    def fetching_ms(self, all_weights: Floats) -> Floats:
        """(networks,) ms beyond the shares that networks of these thousands of weights take."""
        ms: Floats = self._fetching(all_weights[:, None]).mean(axis=1)
        return ms

    def extrapolated(self, arch: Architecture) -> list[str]:
        """Return the paths that are wider than anything timed: the prediction extrapolates.

        So is a classifier of more classes, although other layers timed may have been as wide.
        """
        layers = arch.layers()
        found = extrapolated(self.seen, layers) if self.seen else []
        if arch.classes > self.scale.classes and layers[-1].path not in found:
            found.append(layers[-1].path)
        return found

    def kernel_ms(self, kernel: Kernel) -> float:
        """ms of one kernel on its own."""
        return float(self._kernel(label(kernel), kernel)[:-1].mean())

    def check_resolution(self, resolution_px: int) -> None:
        """Raise NotCalibrated where networks of this input side cannot be predicted."""
        if resolution_px != self.resolution_px:
            raise NotCalibrated(
                f"this latency model was calibrated at {self.resolution_px} px, "
                f"not at {resolution_px} px; give --resolution {self.resolution_px}, or a model "
                f"calibrated at {resolution_px} px"
            )

    def _part(self, part: Part) -> Floats:
        """(kernels of the part, members of the ensemble and one): ms, then thousands of weights."""
        if part not in self._parts:
            found = [self._kernel(*each) for each in kernels(part.layers)]
            self._parts[part] = np.array(found).reshape(-1, self._matrix.shape[1] + 1)
        return self._parts[part]

    def _kernel(self, path: str, kernel: Kernel) -> Floats:
        """(members of the ensemble and one,): ms, then thousands of weights."""
        if kernel not in self._known:
            fetched = weights(kernel, self.blocking)
            self._known[kernel] = np.append(self._sum(path, kernel), fetched)
        return self._known[kernel]

    def _fetching(self, all_weights: Floats) -> Floats:
        """(..., members of the ensemble) ms, of (..., 1) thousands of weights."""
        ms: Floats = np.maximum(0.0, all_weights - _SIZES) @ self._rates
        return ms

    def _sum(self, path: str, kernel: Kernel) -> Floats:
        rows, amounts = [], []
        for name, amount in features(kernel, self.blocking).items():
            if name in self._rows:
                rows.append(self._rows[name])
                amounts.append(amount)
            elif not refines(name):
                raise NotCalibrated(f"{path}: never timed on this device: {label(kernel)} ({name})")
        members: Floats = np.array(amounts) @ self._matrix[rows]
        return members

    @cached_property
    def _rates(self) -> Floats:
        """(sizes, members of the ensemble) ms per thousand weights beyond each of ALL_WEIGHTS."""
        none = [0.0] * self._matrix.shape[1]
        return np.array([self.coefficients.get(name, none) for name in ALL_WEIGHTS])

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.coefficients)}

    @cached_property
    def _matrix(self) -> Floats:
        """(features, members of the ensemble)"""
        return np.array(list(self.coefficients.values()))

    def _repr_html_(self) -> str:
        """For notebooks: the device, and how well it predicted networks that it had not seen."""
        seen = self.report
        return (
            f"<p><b>{escape(str(self.device))}</b>, {self.resolution_px} px: on {seen.held_out} "
            f"networks it had not seen, the mean error is {seen.mape_percent:.1f} % and "
            f"{seen.within_10_percent:.0f} % are within 10 %; measuring again differs by "
            f"{seen.repeat_mape_percent:.1f} %.</p>"
        )

    def save(self, path: Path) -> None:
        """Write the model as JSON."""
        write_json(path, {"format": FORMAT, **records.to_json(self)})


def load(path: Path) -> LatencyModel:
    """Read a model.

    Raises:
        UsageError: not a file that ``LatencyModel.save`` wrote, or a damaged one.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise UsageError(f"{path} is not a latency model of bneck ({FORMAT})")
    _convert(content)
    with naming(f"{path} is damaged"):
        model = records.from_json(LatencyModel, content)
        _check(model)
    return model


def _convert(content: dict[str, Any]) -> None:
    """Turn what earlier versions wrote into today's form."""
    if "judged" in content:
        content["held_out"] = content.pop("judged")
    coefficients = content.get("coefficients")
    if isinstance(coefficients, dict):  # earlier versions knew this one distance only
        content["coefficients"] = {
            f"{name} of 64" if name.endswith(" @on lines") else name: own
            for name, own in coefficients.items()
        }
    content.pop("disagreement", None)  # of older files, whose error held the ensemble's usual one


def _check(model: LatencyModel) -> None:
    """Raise UsageError where a file held values that no calibration gives."""
    check_coefficients(model.coefficients)
    for name, widths in model.seen.items():
        if len(widths) != 2:
            raise UsageError(f"seen {name!r} must be two widths, got {widths!r:.40}")
    check_resolution(model.resolution_px)
    check_above("reference_ms", model.scale.reference_ms)
    check_classes(model.scale.classes)
    for ms in model.scale.seen_ms:
        check_above("seen_ms", ms)
    if len(model.scale.seen_ms) not in (0, 2):
        raise UsageError(f"seen_ms must be two times or none, got {model.scale.seen_ms!r:.40}")
    check_above("grid", model.blocking.grid)
    check_above("alignment", model.blocking.alignment)
    check_not_negative("error", model.error, MOST_FITTED)
    for pair in model.held_out:
        if len(pair) != 2:
            raise UsageError(f"held_out must be pairs of ms, got {pair!r:.40}")
        check_above("measured ms in held_out", pair[1], MOST_FITTED)
