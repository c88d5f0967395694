"""The whole of bneck from Python: ``bneck.derive(...)``, ``bneck.calibrate(...)``, runs to look at.

What comes back shows itself in a notebook.
"""

import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bneck.derivation import pipeline
from bneck.derivation.execution import Execution
from bneck.derivation.plan import OPTIONS, Plan
from bneck.derivation.report import report_data
from bneck.derivation.session import open_session
from bneck.derivation.trained_networks import load_trained
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.latency.calibrate import calibrate as run_calibration
from bneck.latency.calibration_networks import spaces_called
from bneck.latency.devices import open_device
from bneck.latency.model import LatencyModel
from bneck.live import TerminalProgress
from bneck.progress import Progress
from bneck.results import static_figures, units
from bneck.results.record import Baseline, Outcome, Proposal, Step
from bneck.results.report import ReportData, sentences
from bneck.results.run import Run
from bneck.results.table import in_words
from bneck.space import codec
from bneck.space.architecture import Architecture

if TYPE_CHECKING:
    import pandas as pd

    from bneck.derivation.prediction import Classes
    from bneck.results.exports import Exported
    from bneck.space.backends.torch_model import Network


class Results:
    """A run to look at, read from its folder each time it is asked; it may still be running."""

    def __init__(self, folder: Path) -> None:
        self.run = Run.read(folder)

    @property
    def outcome(self) -> Outcome | None:
        """The derived network with its figures, once the run is finished, else None."""
        return self._data.outcome

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """Networks that were trained and measured the same way."""
        return self._data.baselines

    @property
    def architecture(self) -> Architecture | None:
        """The derived network as a value, once there is one."""
        return codec.load(self.run.network) if is_written(self.run.network) else None

    def network(self) -> "Network":
        """Return the trained network as a torch module, ready to be run.

        It takes float32 (N, 3, resolution, resolution), RGB from 0 to 1, less the mean and divided
        by the std of ``run.images``, and gives logits (N, classes).

        Raises:
            UsageError: the run has no trained network yet.
        """
        from bneck.space.backends import torch_model, weights

        arch = self._trained_architecture()
        module = torch_model.build(arch)
        module.load_state_dict(weights.load(self.run.weights, arch))
        return module.eval()

    def predict(self, images: str | Path | Iterable[str | Path]) -> "list[Classes]":
        """Classify image files by the run's ONNX file, as its validation images were.

        Args:
            images: a file, a folder (all images below it), or several of them.

        Returns:
            For each image the probabilities by class, likeliest first.

        Raises:
            UsageError: the run has no network yet, or a file that is not an image.
        """
        from bneck.derivation.prediction import classifier_of, classify

        places = [images] if isinstance(images, str | Path) else images
        found = []
        for file, classes in classify(classifier_of(self.run.folder), map(Path, places)):
            if isinstance(classes, UsageError):
                raise UsageError(f"{file} is not an image: {classes}")
            found.append(classes)
        return found

    def export(self, file: str | Path, to: str = "onnx", *, seed: int = 0) -> "Exported":
        """Write the trained network for other programs, as ``bneck export`` does.

        Args:
            file: the file to write.
            to: a word of ``bneck.results.exports.EXPORTS``.
            seed: decides which training images 8-bit formats see.

        Returns:
            How its outputs agree with the network's, and what 8 bits cost.

        Raises:
            UsageError: the run has no trained network yet, or a format that cannot express it.
        """
        from bneck.results.exports import check_file_name, export

        check_file_name(to, Path(file))
        trained = load_trained(
            str(self.run.folder),
            None,
            self._trained_architecture(),
            seed=seed,
            with_samples=to.endswith("-int8"),
        )
        return export(trained, to, Path(file))

    def _trained_architecture(self) -> Architecture:
        arch = self.architecture
        if arch is None or not is_written(self.run.weights):
            raise UsageError(f"{self.run.folder} has no network yet: the run is {self.run.state}")
        return arch

    @property
    def trials(self) -> "pd.DataFrame":
        """The networks of the search, one a row, by number."""
        rows = [
            {
                "number": record.number,
                "accuracy": record.accuracy,
                "latency_ms": record.latency_ms,
                "reward": record.reward,
                "error": record.error,
                "seconds": record.seconds,
                "network": "; ".join(in_words(record.arch)),
            }
            for record in self._data.records
        ]
        return _frame(rows, "number")

    @property
    def steps(self) -> "pd.DataFrame":
        """NetAdapt's proposals, one a row; ``taken`` marks the one that each step took."""
        rows = [
            {"step": step.number, "taken": proposal.move == step.move, **_proposal(proposal)}
            for step in self._data.steps
            for proposal in (step.proposals or (_seed(step),))
        ]
        return _frame(rows, "step")

    @property
    def _data(self) -> ReportData:
        return report_data(self.run)

    def __repr__(self) -> str:
        """What came out, or how far the run is, in a few lines of text."""
        lines = (str(self.run.folder), *sentences(self._data))
        return "\n".join(line for line in lines if line)

    def _repr_html_(self) -> str:
        """Headline, networks side by side, and a picture; what is not markup of ours is escaped."""
        data = self._data
        title, text = sentences(data)
        return (
            f"<h3>{escape(title)}</h3><p>{escape(text)}</p>{_table(data)}{_picture(data)}"
            f"<p><code>{escape(str(self.run.report))}</code></p>"
        )


def derive(
    target: float | str,
    out: str | Path,
    *,
    data: str = "digits",
    space: str = "v3-small",
    workers: int | None = None,
    gpus: int = 0,
    wait_quiet: float = 0.0,
    progress: Progress | None = None,
    **plan: Any,
) -> Results:
    """Derive a network, or resume the run in ``out``, as ``bneck derive`` does.

    Args:
        target: ms, or a share of another network's latency: "0.8x:mobilenet_v3_small".
        gpus: how many train each network of the final training together; 0 trains each on one.
        wait_quiet: minutes to wait, at most, for a quiet device before each measurement.
        plan: the command's other options by name, such as ``evaluations=12`` or ``epochs=5``.

    Raises:
        UsageError: a value that cannot be, or another plan than the folder's.
    """
    asked = {"target": str(target), "data": data, "space": space, **plan}
    words = ", ".join(f"{name}={value!r}" for name, value in {**asked, "out": str(out)}.items())
    with open_session(
        Plan.from_dict(asked, OPTIONS["derive"]),
        Path(out),
        Execution(workers=workers, gpus=gpus, wait_quiet=wait_quiet),
        command=f"bneck.derive({words})",
        progress=progress or TerminalProgress(),
    ) as session:
        pipeline.derive(session)
    return Results(Path(out))


def calibrate(
    out: str | Path,
    *,
    space: str = "v3-small",
    resolution_px: int = 224,
    classes: int = 1000,
    runtime: str = "onnxruntime",
    threads: int = 1,
    batch_size: int = 1,
    target_device: str = "local",
    minutes: float = 5.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> LatencyModel:
    """Calibrate a latency model of this machine and write it to ``out``: as ``bneck calibrate``.

    Args:
        out: the model's file.
        space: a space by name, several with commas between them, or "all".
        resolution_px: input side of the networks, in px.
        classes: their class count.
        runtime: a word of RUNTIMES, or ``package.module:attr``.
        threads: threads of the runtime.
        batch_size: images that one inference takes.
        target_device: "local", "ssh:USER@HOST[:PORT][/PYTHON]" "adb:[SERIAL][/BENCHMARK_MODEL]"
            or "file:DIR".
        minutes: time to spend; a slow or noisy device may take longer.
        seed: of the networks that are drawn.
        progress: told about every network; None shows it in the terminal.

    Raises:
        UsageError: an unknown space or runtime.
    """
    path = Path(out)
    model = run_calibration(
        spaces_called(space, resolution_px=resolution_px, classes=classes),
        open_device(target_device, runtime=runtime, threads=threads, batch_size=batch_size),
        folder=path.with_name(path.name + ".work"),
        minutes=minutes,
        seed=seed,
        progress=progress or TerminalProgress(),
    )
    model.save(path)
    return model


def open_run(folder: str | Path) -> Results:
    """The run in a folder.

    Raises:
        UsageError: the folder is not a run's.
    """
    return Results(Path(folder))


def _seed(step: Step) -> Proposal:
    return Proposal(step.arch, "the seed", step.latency_ms, 0.0, step.accuracy)


def _proposal(proposal: Proposal) -> dict[str, Any]:
    found = proposal.accuracy
    return {
        "move": proposal.move,
        "latency_ms": proposal.latency_ms,
        "saved_ms": proposal.saved_ms,
        "accuracy": found and found.value,
        "accuracy_stderr": found and found.stderr,
        "error": proposal.error,
    }


def _frame(rows: Sequence[dict[str, Any]], index: str) -> "pd.DataFrame":
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("frames need pandas: pip install 'bneck[notebook]'") from None
    return pd.DataFrame(list(rows)).set_index(index) if rows else pd.DataFrame()


def _table(data: ReportData) -> str:
    if data.outcome is None:
        return ""
    networks: list[tuple[str, Outcome | Baseline]] = [("derived", data.outcome)]
    networks += [(baseline.name, baseline) for baseline in data.baselines]
    places = units.decimals(data.outcome.target_ms)
    rows = []
    for name, network in networks:
        cells = (
            name,
            units.milliseconds(network.measured, places),
            units.percent(network.accuracy),
            units.count(network.params),
            units.count(network.macs),
        )
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    heads = ("network", "measured ms", "accuracy", "parameters", "multiply-adds")
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _picture(data: ReportData) -> str:
    if data.outcome is not None and data.outcome.accuracy is not None:
        figure = static_figures.outcome(data.outcome, data.baselines)
    elif any(record.accuracy is not None for record in data.records):
        figure = static_figures.search(data.records, targets_ms=data.targets_ms)
    else:
        return ""
    svg = io.StringIO()
    figure.savefig(svg, format="svg", bbox_inches="tight")
    return svg.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]
