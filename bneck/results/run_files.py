"""The files of a run, each by what it holds."""

from pathlib import Path, PurePath

from bneck.errors import UsageError
from bneck.results.exports import EXPORTS
from bneck.results.run_folder import is_run

SEED_NETWORK, NETWORK = "seed", "network"
"""Names of the training of NetAdapt's seed network, and of that of a network alone."""
SHOWN = ("report.html", "model_card.md", "likeness.json", "likeness.svg")
"""What commands that only look at a run write into its folder, as those that work on it do."""
TARGETS = "targets"
"""Folder for each of several targets: their networks, and runs of their own."""
PICTURES = "pictures"
"""Folder for what ``bneck report --pictures`` draws."""
_EXPORTED = tuple(end for to in EXPORTS.values() for end in (*to.suffixes, to.beside) if end)
_OWN = {
    "model.onnx": "network",
    "weights.safetensors": "network",
    "elastic.safetensors": "network",
    "latency.json": "latency model",
}
"""Name of a file that a run works with -> what it holds."""


def only_shows(file: PurePath) -> bool:
    """Whether a file, by its path in a run's folder, may be written by whoever only looks at it."""
    return file.name in SHOWN or PICTURES in file.parts[:-1] or _is_export(file)


def _is_export(file: PurePath) -> bool:
    """Whether ``bneck export`` wrote it, or weights beside its file, into the run itself."""
    of_target = file.parent.name == TARGETS  # the weights of one of several
    own = file.name in _OWN or "checkpoints" in file.parts or of_target
    return file.name.endswith(_EXPORTED) and not own


def check_not_own(file: Path) -> None:
    """Raise UsageError where what is made for other uses would replace what a run works with."""
    if file.name in _OWN and is_run(file.parent):
        raise UsageError(f"{file} is the run's own {_OWN[file.name]}: name another file")


class TrainingFiles:
    """Where a long training is kept in ``folder``, by its name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.result = folder / f"{name}.json"
        """The ``Training``, once it has ended."""
        self.weights = folder / f"{name}.safetensors"
        """The trained weights."""
        self.checkpoint = folder / f"{name}.checkpoint"
        """What it resumes from, until it has ended."""
        self.start = folder / f"{name}.start.safetensors"
        """The weights that it begins with, where these are not random."""

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint of a training that has ended; a kill may have left it."""
        self.checkpoint.unlink(missing_ok=True)


class RunFiles:
    """Where everything of a run is, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal.log"
        """Optuna's journal: the trials."""
        self.steps = folder / "steps.jsonl"
        """NetAdapt's ``Step`` records, one per line."""
        self.measurements = folder / "measured.jsonl"
        """Networks measured on the target device, with their ms, one per line."""
        self.baselines = folder / "baselines.jsonl"
        """``Baseline`` records, one per line."""
        self.images = folder / "images.json"
        """What the images are: name, fingerprint, resolution, class names."""
        self.target = folder / "target.json"
        """The target in ms."""
        self.ended = folder / "ended.json"
        """There from the end of the last command to the beginning of the next one."""
        self.seconds = folder / "seconds.json"
        """Seconds that each stage took, over all sessions."""
        self.latency = folder / "latency.json"
        """The latency model of the target device."""
        self.timings = folder / "latency.work"
        """Folder of a calibration's timings, until there is a model of them."""
        self.seed = folder / "seed.json"
        """The network that the search hands to NetAdapt."""
        self.shrunk = folder / "shrunk.jsonl"
        """NetAdapt's network for each target, one per line."""
        self.inherited = folder / "inherited.json"
        """What the network that NetAdapt or a training begins with has of the pretrained one."""
        self.pretrained = folder / "pretrained.jsonl"
        """``Record`` of the pretrained network itself in the search, one for each rung."""
        self.widened = folder / "widened.jsonl"
        """``Record`` of each faster target's network that was made wider for a slower one."""
        self.checkpoints = folder / "checkpoints"
        """Folder for what long work needs to resume where it stopped."""
        self.search_work = self.checkpoints / "search"
        """Folder for what a search needs to resume: its longer trainings, what it makes wider."""
        self.to_widen = self.search_work / "to_widen.jsonl"
        """What the search chose to make wider for each target, until it has named its networks."""
        self.winners = folder / "winners.json"
        """The network that the search names for each target."""
        self.network = folder / "network.json"
        """The derived network."""
        self.weights = folder / "weights.safetensors"
        """The derived network's weights."""
        self.onnx = folder / "model.onnx"
        """The derived network, ready to be deployed."""
        self.classification = folder / "classification.json"
        """How the derived network classifies the images of the last figure: ``Classification``."""
        self.likeness = folder / "likeness.json"
        """How much the network resembles a published one: ``Similarity``."""
        self.report = folder / "report.html"
        """The page that shows all results."""
        self.card = folder / "model_card.md"
        """The model card of the derived network."""
        self.result = folder / "result.json"
        """The ``Outcome``; a run is finished when it is there."""

    def of_target(self, target_ms: float) -> Path:
        """The network found for one of several targets."""
        return self.folder / TARGETS / f"{target_ms:.4g}ms.json"

    def run_of_target(self, target_ms: float) -> Path:
        """The folder of the derivation for another of several targets: a run of its own."""
        return self.folder / TARGETS / f"{target_ms:.4g}ms"

    def training(self, name: str) -> TrainingFiles:
        """The files of one of the run's long trainings."""
        return TrainingFiles(self.checkpoints, name)
