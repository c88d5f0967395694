"""A plan's words, checked before any work is paid for.

Nothing here imports the heavy libraries, so that a mistake is answered at once.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bneck.derivation import target
from bneck.derivation.plan import ANEW, SHORT_TRAINING, Plan
from bneck.derivation.pretrained import check_pretrained
from bneck.derivation.teacher import check_teacher
from bneck.errors import UsageError, no_effect, unknown
from bneck.latency import model
from bneck.latency.devices import Device, check_device_word, open_device
from bneck.latency.devices.local import LocalDevice
from bneck.latency.runtimes import open_runtime
from bneck.latency.warn import check_device
from bneck.path_checks import check_file
from bneck.proxies import tabular
from bneck.proxies.data.image_spec import check_images
from bneck.proxies.proxy import PROXIES, SHARED_WEIGHTS, check_proxy, is_zero_cost
from bneck.results.exports import IN_8_BITS
from bneck.results.networks import load_network
from bneck.results.run_folder import is_run
from bneck.search import reward, samplers
from bneck.space import spaces
from bneck.text import one_of

OF_IMAGES = (
    "proxy", "search_steps", "folds", "promote", "score_int8", "pretrained", "balanced",
    "skip_unreadable", "check_images",
)  # fmt: skip
"""Fields of a plan that mean nothing where networks are scored by a table of accuracies."""

_GIVES_ACCURACIES = (SHORT_TRAINING, f"{SHARED_WEIGHTS}RUN", "package.module:attr")


def check(plan: Plan, *, trains: bool = True, kept: Collection[str] = ()) -> None:
    """Raise UsageError for the first word or number of the plan that cannot be.

    Args:
        plan: what a command was asked for.
        trains: whether the command trains networks, which a table of accuracies does not allow.
        kept: fields that a run was begun with just so, maybe by an earlier version, which took
            options that have no effect. It may be finished, and need its target device no more.
    """
    spaces.load_own(plan.space)
    if tabular.open_table(plan.data, None if trains else plan.space, plan.resolution_px) is None:
        check_images(plan.data, plan.resolution_px)
    _check_effects(plan, kept)
    _check_labels(plan)
    if plan.seed_network is not None:
        load_network(plan.seed_network)
    if plan.pretrained is not None:
        check_pretrained(plan.pretrained, plan.space, plan.seed_network)
    _check_elastic(plan)
    check_teacher(plan)
    _check_targets(plan)
    if plan.aimed_at:
        _check_search(plan)
        _check_target_device(plan, kept)


def _check_effects(plan: Plan, kept: Collection[str]) -> None:
    """Options that do nothing beside others."""
    if plan.latency is not None and plan.calibrate == ANEW:
        raise UsageError(f"give either --latency {plan.latency} or --calibrate {ANEW}, not both")
    unused = {}
    if plan.seed_network and not plan.aimed_at and plan.space != Plan().space:
        unused["space"] = "with NET"
    if plan.data.startswith(tabular.PREFIX):
        where = f"on {plan.data}, which holds accuracies and no images"
        unused |= {name: where for name in OF_IMAGES if getattr(plan, name)}
    if plan.eager and plan.parallel is not None:
        unused["parallel"] = "with --eager"
    if plan.from_scratch and plan.pretrained is None:
        unused["from_scratch"] = "without --pretrained"
    if plan.seed_network and plan.aimed_at and plan.finish is None:
        final = ("epochs", "augmentation")
        unused |= {name: "without --finish" for name in final if getattr(plan, name) is not None}
    kind, idle = plan.target_device.partition(":")[0], []
    if plan.latency is not None or kind in ("file", "table"):
        idle += ["calibration_minutes", "calibrate"]
    if kind == "table":
        idle += ["threads", "accept_version"]
    where = f"with --latency {plan.latency}" if plan.latency else f"on {plan.target_device}"
    unused |= {name: where for name in idle if getattr(plan, name) != getattr(Plan(), name)}
    for name, where in unused.items():
        if name not in kept:
            raise no_effect(name, where)


def _check_labels(plan: Plan) -> None:
    """How networks of the search are scored; some options need a training of each."""
    if plan.proxy is not None:
        if plan.proxy not in PROXIES and ":" not in plan.proxy:
            raise unknown("proxy", plan.proxy, _GIVES_ACCURACIES)
        check_proxy(plan.proxy)
    trained = plan.scores_by_training
    if plan.promote and not trained:
        raise UsageError(f"--promote trains longer, so it needs the proxy {SHORT_TRAINING}")
    if plan.score_int8 and plan.runtime not in IN_8_BITS:
        raise UsageError(f"--score-int8 needs --runtime {' or '.join(IN_8_BITS)}")
    if plan.score_int8 and not trained:
        raise UsageError(f"--score-int8 quantises what {SHORT_TRAINING} trains: leave out --proxy")
    if plan.folds not in (None, 1) and not trained:
        raise UsageError(f"--folds trains several times, so it needs the proxy {SHORT_TRAINING}")
    if plan.proxy is not None and is_zero_cost(plan.proxy):
        raise UsageError(
            f"--proxy {plan.proxy} scores on a scale of its own, and a search needs accuracies: "
            f"{one_of(*_GIVES_ACCURACIES)}; "
            f"`bneck proxies score` judges such scores"
        )


def _check_elastic(plan: Plan) -> None:
    if plan.elastic:
        given = {"NET": plan.seed_network, "--teacher": plan.teacher, "--branches": plan.branches}
        if left_out := [word for word, value in given.items() if value]:
            raise UsageError(
                f"--elastic trains all networks of {plan.space} by what the largest one says; "
                f"leave out {left_out[0]}"
            )


def _check_targets(plan: Plan) -> None:
    if plan.target is not None and plan.targets is not None:
        raise UsageError("give either target or targets, not both")
    parsed = [target.parse(text) for text in plan.aimed_at]
    for place, (_, network, side_px) in enumerate(parsed):
        if parsed[place] in parsed[:place]:
            raise UsageError(f"targets names {plan.aimed_at[place]} twice: {plan.targets!r}")
        if network is not None:
            load_network(network, resolution_px=side_px)


def _check_search(plan: Plan) -> None:
    """How networks are sought, which only a command with a target does."""
    spaces.check(plan.space)
    samplers.find(plan.sampler)
    if plan.reward != reward.FRONT or plan.reward_exponent is not None:
        reward.build(plan.reward, 1.0, plan.reward_exponent)
    if plan.seed_factor == 1 and plan.reward != reward.FRONT:
        raise UsageError(
            "seed-factor must be above 1: the search is for networks from the target up to so many "
            "times it, and NetAdapt removes the rest"
        )


def _check_target_device(plan: Plan, kept: Collection[str]) -> None:
    """What latencies are of, and by what model, before a device is reached."""
    kind, _, _ = plan.target_device.partition(":")
    if kind == "table" and plan.latency is not None:
        raise UsageError(f"{plan.target_device} predicts by itself: leave out --latency")
    if plan.latency == "macs":  # which commands that measure nothing take
        raise UsageError("--latency names a file here: multiply-adds are --runtime macs")
    settings = {"threads": plan.threads, "batch_size": plan.batch_size}
    open_runtime(plan.runtime, **settings)
    check_device_word(plan.target_device)
    if kind != "table":  # which was opened
        device = open_device(plan.target_device, runtime=plan.runtime, **settings)
        if plan.latency is not None:
            _check_latency(plan, None if "latency" in kept else device)
        if kind == "file":
            _check_kit(plan, device, kept)


def _check_kit(plan: Plan, device: Device, kept: Collection[str]) -> None:
    """What a kit was made for, and what it was measured with once that is known."""
    from bneck.latency.devices.file import FileDevice  # onnx: only where there is a kit
    from bneck.latency.kit_content import read_kit

    assert isinstance(device, FileDevice)  # as its word says
    if (kit := read_kit(device.folder)) is not None:
        kit.check_options(
            runtime=plan.runtime, batch_size=plan.batch_size, resolution_px=plan.resolution_px
        )
    if device.file.exists() and "target_device" not in kept:
        device.fingerprint()


def _check_latency(plan: Plan, device: Device | None) -> None:
    """A model made before, as far as it can be checked without the images and a device at hand."""
    found = model.load(Path(plan.latency or ""))
    if plan.resolution_px is not None:  # else it is the data's, which is not loaded yet
        found.check_resolution(plan.resolution_px)
    if isinstance(device, LocalDevice):
        if plan.accept_version:  # which is said when the model is used
            as_here = replace(found.device, version=device.runtime.version)
            found = replace(found, device=as_here)
        check_device(found, device)


def check_evaluated(
    net: str,
    data: str | None,
    weights: Path | None,
    width: float | None,
    resolution_px: int | None,
) -> None:
    """Refuse what cannot be evaluated, weights for what has its own, and options without effect.

    Args:
        net: what is evaluated: a run's folder, an ONNX file or a network.
        data: the images; None for a run's own.
        weights: a file of weights.
        width: a preset's width multiplier.
        resolution_px: another input side.

    Raises:
        UsageError: names the option that has no effect or is missing, weights that are not a file,
            or ``net`` where it is none of these.
    """
    trained = is_run(net) or (Path(net).suffix == ".onnx" and not Path(net).is_dir())
    if weights is not None:
        if trained:
            raise no_effect("weights", "on a run or an ONNX file, which has its own")
        check_file(weights)
        load_network(net, width=width, resolution_px=resolution_px)
    else:
        for option, value in (("width", width), ("resolution", resolution_px)):
            if value is not None:
                raise no_effect(option, "without --weights")
        if not Path(net).exists():
            raise UsageError(f"no such run or file: {net}; a network needs --weights")
        if not trained:
            load_network(net)
            raise UsageError(f"{net} is neither a run nor an ONNX file, so name its --weights")
    if data is None and not is_run(net):
        raise UsageError(f"{net} is not a run, so name the images: --data folder:DIR")
