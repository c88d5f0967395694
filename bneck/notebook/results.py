"""A run to look at in Python."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.derivation.plan import MAX_SEED
from bneck.derivation.report import report_data
from bneck.derivation.trained_networks import load_trained
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.notebook import shown
from bneck.notebook.given import as_path
from bneck.quantities import plain
from bneck.results.page.report import sentences
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.results.run_files import check_not_own
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.checks import check_range

if TYPE_CHECKING:
    import pandas as pd

    from bneck.derivation.prediction import Classes
    from bneck.results.exports import Exported
    from bneck.space.backends.torch_model import Network


class Results:
    """A run to look at, read from its folder each time it is asked; it may still be running."""

    def __init__(self, folder: Path) -> None:
        self.run = Run.read(folder.absolute())  # a notebook may change its working directory

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

        Files in a folder that are not images are passed over, and named in a warning.

        Args:
            images: a file, a folder (all images below it), or several of them.

        Returns:
            For each image the probabilities by class, likeliest first.

        Raises:
            UsageError: the run has no network yet, files that are not images (all are named), no
                image at all, or an empty name.
        """
        from bneck.derivation.prediction import check_read, classifier_of, classify

        if isinstance(images, str) or not isinstance(images, Iterable):
            images = [images]
        places = [as_path("images", one) for one in images]
        found, unread = [], {}
        for file, classes in classify(classifier_of(self.run.folder), places):
            if isinstance(classes, UsageError):
                unread[file] = classes
            else:
                found.append(classes)
        check_read(places, unread, len(found))
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
        from bneck.results.exports import EXPORTS, check_new_export, export

        file, seed = as_path("file", file), plain(seed)
        check_new_export(to, file)
        check_not_own(file)
        check_range("seed", seed, 0, MAX_SEED)
        trained = load_trained(
            str(self.run.folder),
            None,
            self._trained_architecture(),
            seed=seed,
            with_samples=EXPORTS[to].in_8_bits,
        )
        return export(trained, to, file)

    def _trained_architecture(self) -> Architecture:
        arch = self.architecture
        if arch is None or not is_written(self.run.weights):
            self.run.check_single()
            raise UsageError(
                f"{self.run.folder} has no network yet: the run is {self.run.read_state()}"
            )
        return arch

    @property
    def trials(self) -> "pd.DataFrame":
        """The networks of the search, one per row, by number."""
        return shown.trials(self._data.records)

    @property
    def steps(self) -> "pd.DataFrame":
        """NetAdapt's proposals, one per row; ``taken`` marks the one that each step took."""
        return shown.steps(self._data.steps)

    @property
    def _data(self) -> ReportData:
        return report_data(self.run)

    def __repr__(self) -> str:
        """What came out, or how far the run is, in a few lines of text."""
        lines = (str(self.run.folder), *sentences(self._data))
        return "\n".join(line for line in lines if line)

    def _repr_html_(self) -> str:
        """Headline, networks side by side, and a picture; what is not markup of ours is escaped."""
        return shown.page(self._data, self.run.report)
