"""The files of a run, each by what it holds."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from bneck.errors import UsageError
from bneck.results.exports import EXPORTS
from bneck.results.run_folder import is_run

SEED_NETWORK, NETWORK = "seed", "network"
"""What the training of NetAdapt's seed network, and of a network trained alone, are kept under."""
SHOWN = ("report.html", "model_card.md", "likeness.json", "likeness.svg")
"""What commands that only look at a run write into its folder, as those that work on it do."""
TARGETS = "targets"
"""The folder of what a run has of each of several targets, runs of their own among it."""
PICTURES = "pictures"
"""The folder of what they draw."""
_EXPORTED = tuple(end for to in EXPORTS.values() for end in (*to.suffixes, to.beside) if end)
_OWN = {
    "model.onnx": "network",
    "weights.safetensors": "network",
    "elastic.safetensors": "network",
    "latency.json": "latency model",
}
"""Name -> what a run works with under it."""


def only_shows(file: PurePath) -> bool:
    """Whether a file, by its path in a run's folder, may be written by whoever only looks at it."""
    return file.name in SHOWN or PICTURES in file.parts[:-1] or _is_export(file)


def _is_export(file: PurePath) -> bool:
    """Whether ``bneck export`` wrote it, or weights beside its file, into the run itself."""
    own = file.name in _OWN or "checkpoints" in file.parts
    return file.name.endswith(_EXPORTED) and not own


def check_not_own(file: Path) -> None:
    """Raise UsageError where what is made for other uses would replace what a run works with."""
    if file.name in _OWN and is_run(file.parent):
        raise UsageError(f"{file} is the run's own {_OWN[file.name]}: name another file")


class RunFiles:
    """Where everything of a run is, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def journal(self) -> Path:
        """Optuna's journal: the trials."""
        return self.folder / "journal.log"

    @property
    def steps(self) -> Path:
        """NetAdapt's ``Step`` records, one per line."""
        return self.folder / "steps.jsonl"

    @property
    def measurements(self) -> Path:
        """Networks measured on the target device, with their ms, one per line."""
        return self.folder / "measured.jsonl"

    @property
    def baselines(self) -> Path:
        """``Baseline`` records, one per line."""
        return self.folder / "baselines.jsonl"

    @property
    def images(self) -> Path:
        """What the images are: name, fingerprint, resolution, class names."""
        return self.folder / "images.json"

    @property
    def target(self) -> Path:
        """The target in ms."""
        return self.folder / "target.json"

    @property
    def ended(self) -> Path:
        """There from the end of the last command to the beginning of the next one."""
        return self.folder / "ended.json"

    @property
    def seconds(self) -> Path:
        """Seconds that each stage took, over all sessions."""
        return self.folder / "seconds.json"

    @property
    def latency(self) -> Path:
        """The latency model of the target device."""
        return self.folder / "latency.json"

    @property
    def timings(self) -> Path:
        """Folder of a calibration's timings, until there is a model of them."""
        return self.folder / "latency.work"

    @property
    def seed(self) -> Path:
        """The network that the search hands to NetAdapt."""
        return self.folder / "seed.json"

    @property
    def shrunk(self) -> Path:
        """NetAdapt's network for each target, one per line."""
        return self.folder / "shrunk.jsonl"

    @property
    def inherited(self) -> Path:
        """What the network that NetAdapt or a training begins with has of the pretrained one."""
        return self.folder / "inherited.json"

    @property
    def pretrained(self) -> Path:
        """``Record`` of the pretrained network itself in the search, one for each rung."""
        return self.folder / "pretrained.jsonl"

    @property
    def widened(self) -> Path:
        """``Record`` of each faster target's network that was made wider for a slower one."""
        return self.folder / "widened.jsonl"

    @property
    def search_work(self) -> Path:
        """Folder for what a search needs to resume: its longer trainings, what it makes wider."""
        return self.checkpoints / "search"

    @property
    def to_widen(self) -> Path:
        """What the search chose to make wider for each target, until it has named its networks."""
        return self.search_work / "to_widen.jsonl"

    @property
    def winners(self) -> Path:
        """The network that the search names for each target."""
        return self.folder / "winners.json"

    def of_target(self, target_ms: float) -> Path:
        """The network found for one of several targets."""
        return self.folder / TARGETS / f"{target_ms:.4g}ms.json"

    def run_of_target(self, target_ms: float) -> Path:
        """The folder of the derivation for another of several targets: a run of its own."""
        return self.folder / TARGETS / f"{target_ms:.4g}ms"

    @property
    def network(self) -> Path:
        """The derived network."""
        return self.folder / "network.json"

    @property
    def weights(self) -> Path:
        """The derived network's weights."""
        return self.folder / "weights.safetensors"

    @property
    def onnx(self) -> Path:
        """The derived network, ready to be deployed."""
        return self.folder / "model.onnx"

    @property
    def classification(self) -> Path:
        """How the derived network classifies the images of the last figure: ``Classification``."""
        return self.folder / "classification.json"

    @property
    def likeness(self) -> Path:
        """How much the network resembles a published one: ``Similarity``."""
        return self.folder / "likeness.json"

    @property
    def report(self) -> Path:
        """The page that shows all results."""
        return self.folder / "report.html"

    @property
    def card(self) -> Path:
        """The model card of the derived network."""
        return self.folder / "model_card.md"

    @property
    def result(self) -> Path:
        """The ``Outcome``; a run is finished when it is there."""
        return self.folder / "result.json"

    @property
    def checkpoints(self) -> Path:
        """Folder for what long work needs to resume where it stopped."""
        return self.folder / "checkpoints"


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Where a long training is kept in a folder, by its name."""

    folder: Path
    name: str

    @property
    def result(self) -> Path:
        """The ``Training``, once it has ended."""
        return self.folder / f"{self.name}.json"

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def checkpoint(self) -> Path:
        """What it resumes from, until it has ended."""
        return self.folder / f"{self.name}.checkpoint"

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint of a training that has ended; a kill may have left it."""
        self.checkpoint.unlink(missing_ok=True)

    @property
    def start(self) -> Path:
        """The weights that it begins with, where these are not random."""
        return self.folder / f"{self.name}.start.safetensors"
