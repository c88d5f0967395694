"""How good a calibration is, by networks that its fit had not seen."""

from dataclasses import dataclass

UNSURE_PERCENT = 4.0
"""Mean error, of predictions or of measuring again, beyond which a calibration is doubtful."""
ADVICE = (
    "calibrate on a quieter machine, or rely on no ms, only on a target as a share of a network's "
    "latency, like 0.8x:NET"
)


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """How well a model predicted random networks that its fit had not seen.

    Attributes:
        seconds: that all timings took.
        networks: number of timings.
        held_out: number of the networks that were predicted without being fitted to.
        mape_percent: mean absolute error of their predictions.
        bias_percent: mean signed error.
        within_5_percent, within_10_percent: percentage of them predicted within 5 and 10 %.
        repeat_mape_percent: what measuring a network again changes its time by, 0 where none was
            measured again: no model can honestly be better than about that.
        busy: what else kept the device busy meanwhile, in words.
    """

    seconds: float
    networks: int
    held_out: int
    mape_percent: float
    bias_percent: float
    within_5_percent: float
    within_10_percent: float
    repeat_mape_percent: float
    busy: str = ""

    @property
    def doubt(self) -> str:
        """Why the model's milliseconds are not to be relied on; empty where they are."""
        found = [f"{self.busy} during the calibration"] if self.busy else []
        if self.mape_percent > UNSURE_PERCENT:
            found.append(f"predictions are off by {self.mape_percent:.1f} % on average")
        if self.repeat_mape_percent > UNSURE_PERCENT:
            found.append(f"measuring a network again differs by {self.repeat_mape_percent:.1f} %")
        if not found:
            return ""
        return f"{', '.join(found)}: {ADVICE}"
