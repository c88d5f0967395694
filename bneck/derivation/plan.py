"""What a derivation can be asked for: every option of the commands that make a run, said once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bneck.derivation.option import (
    DATA,
    NETADAPT,
    OWN,
    SEARCH,
    TARGET,
    TRAINING,
    Asked,
    check_types,
    option,
)
from bneck.errors import UsageError, unknown
from bneck.latency.runtimes import MAX_BATCH_SIZE, MAX_THREADS, RUNTIMES
from bneck.latency.timing import MAX_MINUTES
from bneck.machine import DEVICES, Compute
from bneck.proxies.data.augmentation_words import AUGMENTATIONS, CROPS, check_augmentation
from bneck.proxies.data.image_spec import NAMED_SETS
from bneck.search.reward import REWARDS
from bneck.search.samplers import SAMPLERS
from bneck.space.checks import check_above_zero, check_between, check_range, check_word
from bneck.space.spaces import SPACES
from bneck.text import one_of, option_name

MAX_COUNT = 100_000_000
MAX_EPOCHS = 1_000_000
MAX_FOLDS = 20
MAX_SEED = 2**32 - 1
"""What the random generators of all libraries take."""
FINISHES = ("fine-tune", "scratch")
IMPORTANCES = ("l2", "taylor")
SHORT_TRAINING = "short-training"
BY_THE_DATA = "by the data"
TRAINED = (
    "imagenet (torchvision's), mobilenet_v2 or another of torchvision's, a file of weights, or a "
    "run's folder"
)
"""What help texts say that ``pretrained`` may be."""
KEPT, ANEW = "kept", "anew"
"""Words for ``calibrate``."""


@dataclass(frozen=True, slots=True)
class Plan(Asked):
    """Everything that decides a run; written to ``plan.toml``. The data decides what is None."""

    data: str = option(
        "digits",
        f"Images: {one_of(*NAMED_SETS, 'folder:DIR', 'npz:FILE')}; `bneck search` also takes "
        "table:FILE, a table of known accuracies.",
        DATA,
    )
    skip_unreadable: bool = option(
        False, "Skip up to 1 % of a folder's files that are not whole images.", DATA
    )
    check_images: bool = option(
        False,
        "Read all files of a folder to tell whether its images changed; their sizes and times are "
        "trusted otherwise.",
        DATA,
    )
    target: str | None = option(
        None,
        "Latency to reach: milliseconds (2.0), or a share of a network's latency "
        "(0.8x:mobilenet_v3_small), at another resolution where one is named "
        "(0.8x:mobilenet_v3_small@64).",
        TARGET,
    )
    targets: str | None = option(
        None,
        "Several targets with commas between them (1.5,2,3), instead of --target; they share the "
        "work of the search.",
        TARGET,
    )
    space: str = option(
        "v3-small",
        f"Space of networks, also used to calibrate the device: {one_of(*SPACES, OWN)}.",
        TARGET,
    )
    seed_network: str | None = None  # the argument NET: where to start instead of searching
    seed: int = option(0, "Random seed.")
    resolution_px: int | None = option(None, "Input resolution in pixels.", DATA, unset=BY_THE_DATA)
    target_device: str = option(
        "local",
        "Device that latency is meant for: local (this machine), ssh:USER@HOST[:PORT][/PYTHON], "
        "adb:[SERIAL][/BENCHMARK_MODEL], file:DIR (a kit is carried to it) or table:FILE "
        "(published latencies).",
        TARGET,
    )
    runtime: str = option(
        "onnxruntime",
        f"What runs the network on the target device: {one_of(*RUNTIMES, OWN)}.",
        TARGET,
    )
    threads: int = option(1, "Threads of that runtime.", TARGET)
    batch_size: int = option(
        1, "Images that one inference takes: latencies are of such a batch.", TARGET
    )
    latency: str | None = option(
        None,
        "Latency model of the target device that `bneck calibrate` wrote, at the same resolution "
        "and number of classes.",
        TARGET,
        unset="calibrate",
    )
    calibration_minutes: float = option(
        2.0, "Minutes to spend on calibrating the target device.", TARGET
    )
    calibrate: str = option(
        KEPT,
        f"Calibration to use where --latency names none: {KEPT} (of an earlier run on the same "
        f"device, where there is one) or {ANEW}.",
        TARGET,
    )
    accept_version: bool = option(
        False, "Take a latency model of another version of the runtime as it is.", TARGET
    )
    sampler: str = option(
        "surrogate", f"How networks are proposed: {one_of(*SAMPLERS, OWN)}.", SEARCH
    )
    evaluations: int = option(24, "Networks that the search trains.", SEARCH)
    parallel: int | None = option(
        None,
        "Evaluations under way at once, in virtual time: more keeps more workers busy, fewer lets "
        "each proposal know more results. Trials depend on it, not on the number of workers.",
        SEARCH,
        unset="twice the workers at the run's start",
    )
    layer_macs: int | None = None  # see ``training_length``; a run keeps what it began with
    most_steps: int | None = None  # of a promoted network's training; likewise
    eager: bool = option(
        False, "Propose from whatever results are there; the trials are not reproducible.", SEARCH
    )
    promote: bool = option(
        False,
        "After the search, train the best four networks for each target for three times "
        "--search-steps, and the best two of those for nine times, but no longer than the final "
        "training; one of those is named.",
        SEARCH,
    )
    score_int8: bool = option(
        False,
        "Compare networks in the search by their accuracy in 8 bits, quantised as exports are; "
        "with --runtime onnxruntime-int8 or litert-int8.",
        SEARCH,
    )
    mix_devices: bool = option(
        False,
        "Let labels of different kinds of device (cpu, cuda), or precisions, guide one search.",
        SEARCH,
    )
    proxy: str | None = option(
        None,
        "What a network's accuracy is estimated by in the search: "
        f"{one_of(SHORT_TRAINING, 'shared-weights:RUN', OWN)}.",
        SEARCH,
        unset=SHORT_TRAINING,
    )
    folds: int | None = option(
        None,
        "Parts of the training images that judge each network of the search in turn, in a training "
        "each: its accuracy is counted on all of them. With 1, a fifth judges.",
        SEARCH,
        unset="5 below 1,000 training images, else 1",
    )
    reward: str = option(
        "soft",
        f"Accuracy and latency in one number: {one_of(*REWARDS, OWN)}; front keeps them apart.",
        SEARCH,
    )
    reward_exponent: float | None = option(
        None,
        "w of the reward ACC * (LAT/TAR)^w, or beta of the absolute reward.",
        SEARCH,
        unset="derived from the target",
    )
    confidence: float = option(
        0.9, "Probability with which a network must stay under the latency ceiling.", SEARCH
    )
    seed_factor: float = option(
        1.25,
        "Latency ceiling of the search, as a multiple of the target; NetAdapt removes the rest.",
        SEARCH,
    )
    delta: float = option(
        0.04, "Least latency that each step saves, as a share of the seed network's.", NETADAPT
    )
    pretrained: str | None = option(
        None,
        f"Trained network whose weights all others start from: {TRAINED}.",
        TRAINING,
        unset="random weights",
    )
    from_scratch: bool = option(
        False,
        "Train the derived network from random weights in the end, whatever the search and "
        "NetAdapt began with.",
        TRAINING,
    )
    importance: str = option(
        "l2",
        "Which channels stay: those of largest L2 norm (l2), or those that matter most to the "
        "loss (taylor).",
        NETADAPT,
    )
    finish: str | None = option(
        None,
        f"How the network is trained for --epochs in the end: {one_of(*FINISHES)}.",
        TRAINING,
        unset="not at all",
    )
    search_steps: int | None = option(
        None, "Training steps of each network in the search.", TRAINING, unset=BY_THE_DATA
    )
    fine_tune_steps: int | None = option(
        None, "Training steps of each of NetAdapt's proposals.", TRAINING, unset=BY_THE_DATA
    )
    epochs: float | None = option(
        None, "Epochs of the final training.", TRAINING, unset=BY_THE_DATA
    )
    augmentation: str | None = option(
        None,
        f"How images are varied during --epochs: one of {', '.join(CROPS)}, and any of "
        f"{', '.join(word for word in AUGMENTATIONS if word not in CROPS)}, joined by +.",
        TRAINING,
        unset=BY_THE_DATA,
    )
    balanced: bool = option(
        False,
        "Show all classes equally often in training, for classes of very different sizes.",
        TRAINING,
    )
    branches: bool = option(
        False,
        "Train depthwise and pointwise convolutions in the end with parallel branches, which are "
        "folded into them before anything is measured or exported.",
        TRAINING,
    )
    elastic: bool = option(
        False,
        "Train the weights of all networks of the space together, for --proxy shared-weights:OUT "
        "and for derivations that begin with each network's own part: --pretrained OUT.",
        TRAINING,
    )
    teacher: str | None = option(
        None,
        "Trained network whose outputs the final training learns too: a run's folder, an ONNX "
        "file, or what --pretrained takes, for the same classes. `bneck derive` also takes seed: "
        "the network that the search finds, which is then trained first.",
        TRAINING,
        unset="labels alone",
    )
    device: str = option(
        "cpu",
        f"What trains: {DEVICES}; auto is a GPU where there is one. Latency is always that of "
        "the target device.",
        TRAINING,
    )

    def __post_init__(self) -> None:
        for name in (
            "evaluations", "parallel", "layer_macs", "most_steps", "search_steps",
            "fine_tune_steps",
        ):  # fmt: skip
            if getattr(self, name) is not None:
                check_range(option_name(name), getattr(self, name), 1, MAX_COUNT)
        if self.folds is not None:
            check_range("folds", self.folds, 1, MAX_FOLDS)
        check_range("threads", self.threads, 1, MAX_THREADS)
        check_range("batch-size", self.batch_size, 1, MAX_BATCH_SIZE)
        check_range("seed", self.seed, 0, MAX_SEED)
        if self.epochs is not None:
            check_above_zero("epochs", self.epochs, MAX_EPOCHS)
        check_above_zero("calibration-minutes", self.calibration_minutes, MAX_MINUTES)
        check_between("seed-factor", self.seed_factor, 1, 10)
        if not 0.5 <= self.confidence < 1:
            raise UsageError(f"confidence must be from 0.5 to below 1, got {self.confidence}")
        check_between("delta", self.delta, 0.001, 0.5)
        self.compute()
        check_word("importance", self.importance, IMPORTANCES)
        check_word("calibrate", self.calibrate, (KEPT, ANEW))
        if self.augmentation is not None:
            check_augmentation(self.augmentation)
        if self.finish is not None:
            check_word("finish", self.finish, FINISHES)

    @property
    def aimed_at(self) -> tuple[str, ...]:
        """The targets, one or several; none where nothing is searched."""
        if self.targets is not None:
            return tuple(part.strip() for part in self.targets.split(","))
        return () if self.target is None else (self.target,)

    @property
    def scores_by_training(self) -> bool:
        """Whether networks of a search on images are scored by a short training of each."""
        return self.proxy in (None, SHORT_TRAINING)

    def compute(self, threads: int | None = None) -> Compute:
        """Return what a training runs on.

        Raises:
            UsageError: an unknown device.
        """
        return Compute(self.device, threads)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], known: Iterable[str] = ()) -> "Plan":
        """Read back what ``as_dict`` wrote, or what a command was asked.

        Args:
            value: values by name.
            known: the names that may be said; all of a plan's unless given.

        Raises:
            UsageError: an unknown name, or a value out of range or of the wrong type.
        """
        known = tuple(known) or tuple(field.name for field in fields(cls))
        for name in value:
            if name not in known:
                raise unknown("name in the plan:", name, known)
        check_types(cls, value)
        return cls(**value)
