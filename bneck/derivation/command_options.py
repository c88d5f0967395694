"""Which options each command that makes a run takes, and what its `--help` says of them."""

from collections.abc import Mapping

from bneck.derivation.option import OWN
from bneck.derivation.plan import TRAINED
from bneck.machine import DEVICES
from bneck.space.spaces import SPACES
from bneck.text import one_of

_EVERY_RUN = (
    "data", "resolution_px", "skip_unreadable", "check_images", "balanced", "seed", "device",
)  # fmt: skip
_DEVICE = (
    "target", "targets", "space", "target_device", "runtime", "threads", "batch_size", "latency",
    "calibration_minutes", "calibrate", "accept_version",
)  # fmt: skip
_SEARCH = (
    "sampler", "evaluations", "parallel", "eager", "promote", "score_int8", "mix_devices", "proxy",
    "folds", "reward_exponent", "seed_factor", "search_steps",
)  # fmt: skip
_NETADAPT = ("delta", "fine_tune_steps", "epochs", "augmentation")
_EVALUATIONS = (
    "workers", "ray", "gpus_per_trial", "cpus_per_trial", "time_limit_s", "wait_quiet",
)  # fmt: skip

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "derive": (
        *_DEVICE, *_EVERY_RUN, *_SEARCH, *_NETADAPT,
        "branches", "pretrained", "from_scratch", "teacher",
    ),
    "search": (*_DEVICE, *_EVERY_RUN, *_SEARCH, "reward", "confidence", "pretrained"),
    "shrink": (
        *_DEVICE, *_EVERY_RUN, *_NETADAPT,
        "importance", "pretrained", "search_steps", "finish",
    ),
    "pretrain": ("space", *_EVERY_RUN, "elastic", "epochs", "augmentation", "branches", "teacher"),
    "train": (*_EVERY_RUN, "epochs", "augmentation", "branches", "pretrained", "teacher"),
}  # fmt: skip
"""Command -> the fields of a plan that it can be asked."""
EXECUTION_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "derive": (*_EVALUATIONS, "gpus"),
    "search": _EVALUATIONS,
    "shrink": (*_EVALUATIONS, "gpus"),
    "pretrain": ("gpus", "ray"),
    "train": ("gpus", "ray"),
}
"""Command -> the fields of an ``Execution`` that it can be asked."""

_TRAINS = f"What trains: {DEVICES}; auto is a GPU where there is one."
_EPOCHS = "Epochs of the training."
_STARTS = f"Trained network whose weights NET starts from: {TRAINED}."
HELP: Mapping[str, Mapping[str, str]] = {
    "shrink": {
        "targets": "Several targets with commas between them (1.5,2,3), instead of --target; one "
        "NetAdapt goes through them, the slowest first.",
        "space": f"Space on whose networks the device is calibrated: {one_of(*SPACES, OWN)}.",
        "delta": "Least latency that each step saves, as a share of NET's.",
        "search_steps": "Training steps of NET before NetAdapt's first step; none where "
        "--pretrained has all of its weights.",
        "pretrained": _STARTS,
    },
    "pretrain": {
        "space": "Space whose largest network is trained where NET is left out, or with --elastic "
        f"all of them together: {one_of(*SPACES, OWN)}.",
        "epochs": _EPOCHS,
        "device": _TRAINS,
    },
    "train": {
        "epochs": _EPOCHS,
        "pretrained": _STARTS,
        "device": _TRAINS,
    },
}
"""Command -> field of a plan -> what it means there, where the field's own help is of others."""
