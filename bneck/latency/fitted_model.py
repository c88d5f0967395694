"""A latency model of what was measured: fitted to most networks, validated by the others."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from bneck.errors import BneckError
from bneck.latency.calibration.calibrated_range import calibrated_range
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.fit import Fit, find_blocking, fit
from bneck.latency.measurements import Measurement
from bneck.latency.model import LatencyModel
from bneck.latency.validation import NOT_VALIDATED, Validation, validate
from bneck.text import number_of
from bneck.units import as_percent

FEWEST = 40
"""Networks that a fit needs at least."""
KINDS = ("fit", "held-out", "repeat")
"""What the names of measurements that a model is fitted to begin with."""
LONGER = "measure for longer (a kit's measure.py goes on where it was)"
TOO_NOISY = 0.1
"""Relative standard error of a typical timing, beyond which a fit would mean nothing."""


def model_from(
    items: Sequence[Measurement], device: Fingerprint, resolution_px: int, *, busy: str = ""
) -> LatencyModel:
    """Fit on what is not held out, validate on what is, then fit on all.

    Args:
        items: measurements whose names begin with one of ``KINDS``.
        device: what they were taken on.
        resolution_px: the networks' input side.
        busy: what else kept the device busy meanwhile, in words; empty for nothing.

    Raises:
        BneckError: too few measurements, or too noisy ones.
    """
    fitted, held_out, repeats = _parted(items)
    # A space of few networks draws some of them again.
    judged_by = {item.arch for item in held_out}
    unseen = [item for item in fitted if item.arch not in judged_by]
    fitted = unseen if len(unseen) >= FEWEST else fitted
    blocking = find_blocking(fitted)

    def model(found: Fit, chosen: Sequence[Measurement], validation: Validation) -> LatencyModel:
        return LatencyModel(
            device,
            resolution_px,
            found.scale,
            blocking,
            found.coefficients,
            validation.error,
            validation.report,
            validation.held_out,
            calibrated_range(item.arch.layers() for item in chosen),
        )

    found = fit(fitted, blocking)
    unvalidated = model(found, fitted, NOT_VALIDATED)
    # A rare kernel may be in none of the networks that were fitted to.
    held_out, repeats = (
        [item for item in chosen if unvalidated.knows(item.arch)] for chosen in (held_out, repeats)
    )
    if not held_out:
        raise BneckError(
            "each held-out network has a kernel that none of the fitted ones has: " + LONGER
        )
    validation = validate(unvalidated, fitted, found.errors, held_out, repeats)
    seconds = sum(item.seconds for item in items)
    report = replace(validation.report, seconds=seconds, networks=len(items), busy=busy)
    return model(fit(items, blocking), items, replace(validation, report=report))


def _parted(items: Sequence[Measurement]) -> tuple[list[Measurement], ...]:
    """What is fitted, what is held out, and what of that was measured again.

    Raises:
        BneckError: too few measurements, or too noisy ones.
    """
    fitted, held_out, repeats = (
        [item for item in items if item.name.startswith(kind)] for kind in KINDS
    )
    if len(fitted) < FEWEST or not held_out:
        raise BneckError(
            f"only {number_of(len(items), 'network')} could be timed: {len(fitted)} to fit and "
            f"{len(held_out)} to validate by, where {FEWEST} and 1 are needed: {LONGER}"
        )
    noise = median(item.timing.spread for item in items)
    if noise > TOO_NOISY:
        raise BneckError(
            "the device is too noisy to calibrate: repeated measurements scatter by "
            f"{as_percent(noise)}; stop other programs or use fewer threads"
        )
    return fitted, held_out, repeats
