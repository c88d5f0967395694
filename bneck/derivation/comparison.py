"""Networks of any origin side by side: presets, JSON files, runs, ONNX files."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bneck import records
from bneck.derivation.results import counted_early, explained, plan_of, result_of_last_stage
from bneck.derivation.trained_networks import own_weights
from bneck.errors import NotCalibrated, UsageError
from bneck.files import is_written, naming
from bneck.latency.devices.local import LocalDevice
from bneck.latency.measure import Measured, measure
from bneck.latency.model import LatencyModel
from bneck.latency.predictor import Predictor
from bneck.latency.warn import warn_elsewhere, warn_extrapolated
from bneck.progress import Progress, silent
from bneck.quantities import Accuracy, Latency
from bneck.results.image_facts import read_image_facts
from bneck.results.networks import load_network
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.results.run_folder import is_run
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.cost import cost


@dataclass(frozen=True, slots=True)
class Compared:
    """One network; None where something is not known of it.

    ``onnx`` is a file that is to be timed itself: one of another origin, or one in 8 bits, of
    which ``arch`` is the network in floats. ``free_px`` is what its free sides become, and
    ``batch`` how many images a measured run took. ``images`` names what its accuracy was measured
    on, and ``counted`` says when, where that is not after a long training; ``unpredicted`` says why
    a model predicts nothing, ``doubt`` why a measurement is not to be trusted.
    """

    name: str
    arch: Architecture | None = None
    onnx: Path | None = None
    free_px: int | None = None
    resolution_px: int | None = None
    params: int | None = None
    macs: int | None = None
    peak_activation_bytes: int | None = None
    predicted: Latency | None = None
    unpredicted: str = ""
    measured: Latency | None = None
    batch: int | None = None
    accuracy: Accuracy | None = None
    images: str | None = None
    counted: str = ""
    doubt: str = ""


def load(
    texts: Sequence[str], *, resolution_px: int | None = None, classes: int | None = None
) -> list[Compared]:
    """Return the networks that the arguments mean.

    Presets are built at the side and for the classes of the first network that has its own.

    Args:
        texts: preset words, JSON files, runs' folders or ONNX files; at least two.
        resolution_px: side in px of all but ONNX files, and what free sides of those become; None
            leaves each its own, presets as said.
        classes: class count of all but ONNX files; None likewise.

    Raises:
        UsageError: fewer than two arguments, or one that means no network.
    """
    if len(texts) < 2:
        raise UsageError("give at least two networks to compare")
    loaded = {text: _load(text, resolution_px, classes) for text in texts}
    own = [one.arch for text, one in loaded.items() if one.arch and text not in presets.PRESETS]
    if own:
        size = {
            "resolution_px": resolution_px or own[0].resolution_px,
            "classes": classes or own[0].classes,
        }
        for text in texts:
            if text in presets.PRESETS:
                loaded[text] = _of_architecture(text, load_network(text, **size))
    return _with_baselines([loaded[text] for text in texts])


def predicted(networks: Sequence[Compared], model: Predictor) -> list[Compared]:
    """Return the networks with the latency that a model predicts, where it can: not for files.

    Where it extrapolates is said on stderr.
    """

    def one(network: Compared) -> Compared:
        if network.arch is None or network.onnx is not None:
            return network
        try:
            found = model.predict(network.arch)
        except NotCalibrated as error:
            return replace(network, unpredicted=str(error))
        if isinstance(model, LatencyModel):
            warn_extrapolated(model, network.arch, network.name)
        return replace(network, predicted=found)

    return [one(network) for network in networks]


def measured(
    networks: Sequence[Compared], *, model: Predictor | None = None, progress: Progress = silent
) -> list[Compared]:
    """Return the networks with their latency, timed here and now in turns with the reference.

    Args:
        networks: what is timed; each has an architecture or an ONNX file.
        model: a calibrated ``LatencyModel`` gives runtime, threads, batch size and scale; without
            one, ONNX Runtime takes one thread and one image at a time, and ms are what the
            reference took over all these measurements.
        progress: told which network is timed.

    Raises:
        UsageError: a model of a runtime of someone's own, which its file alone names.
    """
    calibrated = model if isinstance(model, LatencyModel) else None
    opened = LocalDevice()
    if calibrated:
        own = calibrated.device
        opened = LocalDevice(runtime=own.runtime, threads=own.threads, batch_size=own.batch_size)
        warn_elsewhere(calibrated, opened.fingerprint())
    took: list[Measured] = []
    for done, network in enumerate(networks):
        progress("measuring", done, len(networks), network.name)
        what = network.onnx or network.arch
        assert what is not None
        weights = own_weights(network.name, network.arch) if network.arch is not None else None
        took.append(
            measure(what, opened, weights=weights, model=calibrated, resolution_px=network.free_px)
        )
    progress("measuring", len(networks), len(networks))
    factors = [1.0] * len(took) if calibrated else _to_one_reference(networks, took)
    return [
        replace(
            network,
            measured=Latency(one.ms * factor, one.std_ms * factor),
            batch=one.batch,
            doubt=one.note,
        )
        for network, one, factor in zip(networks, took, factors, strict=True)
    ]


def _to_one_reference(networks: Sequence[Compared], took: Sequence[Measured]) -> list[float]:
    """Factors that give all networks of one side and class count the same reference ms."""
    kinds = [
        (network.resolution_px, network.arch.classes if network.arch and not network.onnx else None)
        for network in networks
    ]
    references_ms = [one.timing.reference_ms for one in took if one.timing is not None]
    seen: dict[Any, list[float]] = {}
    for kind, ms in zip(kinds, references_ms, strict=True):
        seen.setdefault(kind, []).append(ms)
    return [
        statistics.median(seen[kind]) / ms for kind, ms in zip(kinds, references_ms, strict=True)
    ]


def _with_baselines(networks: Sequence[Compared]) -> list[Compared]:
    """The networks with the accuracies of those that one of the runs trained as baselines."""
    known: dict[Architecture, tuple[Baseline, str | None]] = {}
    for network in networks:
        if is_run(network.name):
            for baseline in records.read_lines(Run.read(Path(network.name)).baselines, Baseline):
                known.setdefault(baseline.arch, (baseline, network.images))
    filled = []
    for network in networks:
        if network.accuracy is None and network.arch in known:
            baseline, images = known[network.arch]
            network = replace(network, accuracy=baseline.accuracy, images=images)
        filled.append(network)
    return filled


def run_model(texts: Sequence[str]) -> Path | None:
    """Return the latency model's file of the first run among the arguments that has one."""
    runs = (Run.read(Path(text)) for text in texts if is_run(text))
    return next((run.latency for run in runs if is_written(run.latency)), None)


def _load(text: str, resolution_px: int | None, classes: int | None) -> Compared:
    path = Path(text)
    if path.suffix == ".onnx":
        return _of_onnx(path, resolution_px)
    own = load_network(text)
    arch = own.at(resolution_px=resolution_px, classes=classes)
    network = _of_architecture(text, arch)
    if not is_run(path) or arch != own:  # other sides or classes than it was trained with
        return network
    run = Run.read(path)
    images = read_image_facts(run)
    about = images.counted_on if images else None
    accuracy, counted = _accuracy(run)
    return replace(network, accuracy=accuracy, images=about, counted=counted)


def _accuracy(run: Run) -> tuple[Accuracy | None, str]:
    """The accuracy of a run's own network, once it is trained, and when it was counted early.

    A search's is a proxy's alone.
    """
    if outcome := records.read_if_written(run.result, Outcome):
        return outcome.accuracy, ""
    if not is_written(run.onnx):
        return None, ""
    if not is_written(run.baselines):  # else a derivation, trained anew after its last step
        with explained(run):
            plan = plan_of(run)
            last = result_of_last_stage(run, plan, None)
        if last.networks:
            return last.networks[-1].accuracy, counted_early(last, plan)
    # A copy of a run may lack its checkpoints, which have it of a training.
    return _of_onnx(run.onnx).accuracy, ""


def _of_architecture(name: str, arch: Architecture) -> Compared:
    counted = cost(arch)
    return Compared(
        name=name,
        arch=arch,
        resolution_px=arch.resolution_px,
        params=counted.params,
        macs=counted.macs,
        peak_activation_bytes=counted.peak_activation_bytes,
    )


def _of_onnx(path: Path, free_px: int | None = None) -> Compared:
    """Our own files carry their architecture; of others only weights and input side are known.

    Args:
        path: the file.
        free_px: what free sides become.
    """
    from bneck.latency.onnx_graph import own_side
    from bneck.results.exports import onnx_notes
    from bneck.space.backends import onnx_parsing

    model = onnx_parsing.read(path)
    with naming(path):
        arch, said = onnx_notes.architecture(model), onnx_notes.notes(model)
    if arch is None:
        params, side = onnx_notes.weight_count(model), own_side(model)
        free_px = free_px if side == 0 else None
        return Compared(
            name=str(path), onnx=path, free_px=free_px, resolution_px=side or free_px, params=params
        )
    accuracy = Accuracy(float(said["accuracy"])) if "accuracy" in said else None
    network = _of_architecture(str(path), arch)
    network = replace(network, accuracy=accuracy, images=said.get("images"))
    if onnx_notes.is_in_float32(model):
        return network
    return replace(network, onnx=path, peak_activation_bytes=None)
