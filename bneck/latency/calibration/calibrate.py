"""Calibration: time random networks of the spaces on a device, then fit a latency model."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, product
from math import ceil
from pathlib import Path

from bneck.errors import UsageError, no_effect
from bneck.latency.calibration.networks import calibration_network, side_and_classes
from bneck.latency.devices import Device, Graph
from bneck.latency.devices.file import FileDevice
from bneck.latency.fitted_model import FEWEST, model_from
from bneck.latency.measure import reference
from bneck.latency.measurements import Measurement, Store, load_of
from bneck.latency.model import LatencyModel
from bneck.latency.timing import CALIBRATION_MINUTES, MAX_MINUTES, Effort
from bneck.locks import locked
from bneck.progress import Progress, silent
from bneck.space.architecture import Architecture
from bneck.space.checks import check_above_zero
from bneck.space.choices import Space
from bneck.text import number_of

REPEAT_SHARE = 0.2
"""Share of the time for measuring the held-out networks again: the model's own error can only be
told from noise by what several measurements of a network agree on."""
MOST_REPEATS = 7
MOST_SYNTHETIC = 600
"""Enough networks for a device without noise, whose clock does not tell real minutes."""
BRIEF = Effort(min_pairs=4, max_pairs=6)
"""A fit averages over networks, and a validation over repeats: many short timings beat few long
ones, as where a session's weights lie in memory moves all of its chunks alike."""


def calibrate(
    spaces: Sequence[Space],
    device: Device,
    *,
    folder: Path,
    minutes: float = CALIBRATION_MINUTES,
    seed: int = 0,
    progress: Progress = silent,
) -> LatencyModel:
    """Time networks of ``spaces`` on ``device`` for ``minutes`` and fit a model to them.

    Every measurement is appended to ``folder/measurements.jsonl``; the same call resumes
    from there. All spaces must have the same input side and class count.

    Args:
        spaces: what networks are drawn from.
        device: what they are timed on; ``open_device`` makes one.
        folder: where the measurements are kept.
        minutes: time to spend; a slow or noisy device may take longer. Those of a device that a kit
            is carried to are told there.
        seed: of the networks that are drawn.
        progress: told about every network.

    Raises:
        UsageError: no space, spaces of several sides or class counts, minutes that cannot be, a
            folder with another calibration or at which another process is at work, minutes for a
            kit, or a table, which needs none.
        BneckError: too few minutes, or a machine too noisy to calibrate.
    """
    check_above_zero("minutes", minutes, MAX_MINUTES)
    if device.published is not None:
        raise UsageError(
            f"{device.word} needs no calibration: give it to --target-device of derive, search "
            "and shrink, or to --model, as it is"
        )
    if isinstance(device, FileDevice):
        if minutes != CALIBRATION_MINUTES:
            raise no_effect("minutes", f"on {device.word}, where `measure.py --minutes` takes them")
        return device.calibrated(spaces, seed=seed, progress=progress)
    side, classes = side_and_classes([space.decode(space.sample(seed)) for space in spaces])
    fingerprint = device.fingerprint()
    header = {
        "measurements": [space.name for space in spaces],
        "device": fingerprint.as_dict(),
        "resolution_px": side,
        "classes": classes,
        "seed": seed,
    }
    file = folder / "measurements.jsonl"
    with locked(file, wait=False):  # two would measure each network twice, and slow each other
        store = Store(file, header)
        watch = device.watch()
        work = _Calibration(store, spaces, device, minutes * 60, seed, progress)
        try:
            work.run(reference(side, classes))
        finally:
            store.end_session(watch())
    return model_from(
        list(store.items.values()), fingerprint, side, busy=str(load_of(store.sessions))
    )


@dataclass
class _Calibration:
    """Fills a store until the seconds are spent: new networks, then the held-out ones again.

    On a slow or busy machine it takes longer: a fit needs as many networks as it needs.
    """

    store: Store
    spaces: Sequence[Space]
    device: Device
    seconds: float
    seed: int
    progress: Progress

    def run(self, standard: Graph) -> None:
        self.spent = sum(item.seconds for item in self.store.items.values())
        self._time(self._new_networks(), standard)
        items = self.store.items.items()
        once = sum(item.seconds for name, item in items if not name.startswith("repeat"))
        self.seconds = max(self.seconds, once / (1 - REPEAT_SHARE))
        self._time(self._repeats(), standard)
        note = number_of(len(self.store.items), "timing")
        self._show(note, ended=True)

    def _time(self, networks: Iterator[tuple[str, Architecture]], standard: Graph) -> None:
        """Time what the store lacks; each is asked for when the one before is in the store."""
        asked: deque[tuple[str, Architecture]] = deque()

        def graphs() -> Iterator[Graph]:
            for name, arch in networks:
                if name not in self.store.items:
                    asked.append((name, arch))
                    yield Graph(arch.layers())

        for timing, seconds in self.device.time(graphs(), standard, BRIEF):
            name, arch = asked.popleft()
            self.store.add(Measurement(name, arch, timing, seconds))
            self.spent += seconds
            timed = number_of(len(self.store.items), "network")
            self._show(f"{timed}; {name}: {timing.ratio:.3f} x the reference")

    def _show(self, note: str, *, ended: bool = False) -> None:
        """Say how far it is: by networks where the device's seconds are not ours."""
        if self.device.synthetic:
            what, done, whole = "networks", len(self.store.items), MOST_SYNTHETIC
        else:
            what, done, whole = "s", int(self.spent), ceil(self.seconds)
        self.progress(
            f"calibrating ({what})", whole if ended else min(done, whole - 1), whole, note
        )

    def _new_networks(self) -> Iterator[tuple[str, Architecture]]:
        fitted = 0
        for number in count():
            if self.spent >= self.seconds * (1 - REPEAT_SHARE) and fitted >= FEWEST:
                break
            if self.device.synthetic and number >= MOST_SYNTHETIC:
                break
            name, arch = calibration_network(self.spaces, number, self.seed)
            yield name, arch
            fitted += name.startswith("fit")

    def _repeats(self) -> Iterator[tuple[str, Architecture]]:
        """The held-out networks again; none on a clock without noise, which would say the same."""
        if not any(item.timing.spread for item in self.store.items.values()):
            return
        held_out = [i for name, i in self.store.items.items() if name.startswith("held-out")]
        for turn, item in product(range(1, MOST_REPEATS + 1), held_out):
            if self.spent >= self.seconds:
                break
            yield item.name.replace("held-out", f"repeat {turn} of"), item.arch
