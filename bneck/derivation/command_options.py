"""Which options each command that makes a run takes."""

from collections.abc import Mapping

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
