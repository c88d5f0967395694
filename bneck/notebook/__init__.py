"""The whole of bneck from Python: ``bneck.derive(...)``, ``bneck.calibrate(...)``, runs to look at.

What comes back shows itself in a notebook.
"""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from bneck.derivation import pipeline
from bneck.derivation.command_options import EXECUTION_OPTIONS, OPTIONS
from bneck.derivation.execution import Execution
from bneck.derivation.option import check_types
from bneck.derivation.plan import MAX_SEED, Plan
from bneck.derivation.session import open_session
from bneck.errors import UsageError
from bneck.executors.processes import script_kept_out
from bneck.latency.calibration.calibrate import calibrate as run_calibration
from bneck.latency.calibration.networks import spaces_called
from bneck.latency.devices import open_device
from bneck.latency.model import LatencyModel
from bneck.latency.predictor import check_new_model
from bneck.latency.timing import CALIBRATION_MINUTES
from bneck.latency.warn import too_many_threads
from bneck.live import warn
from bneck.notebook.given import as_option, as_path, as_progress
from bneck.notebook.results import Results
from bneck.progress import Progress
from bneck.quantities import plain
from bneck.results.run_files import check_not_own
from bneck.space.checks import check_range
from bneck.text import all_of

__all__ = ["Results", "calibrate", "derive", "open_run"]


def derive(
    target: float | str | None,
    out: str | Path,
    *,
    data: str = "digits",
    space: str = "v3-small",
    workers: int | None = None,
    gpus: int = 0,
    wait_quiet: float = 0.0,
    progress: Progress | None = None,
    **options: Any,
) -> Results:
    """Derive a network, or resume the run in ``out``, as ``bneck derive`` does.

    Args:
        target: ms, or a share of another network's latency: "0.8x:mobilenet_v3_small"; None where
            ``targets="1.5,2"`` names several.
        out: the run's folder.
        data: images: "digits", "folder:DIR" and so on, as for ``--data``.
        space: space of networks to choose from, by name.
        workers: evaluations at once, one thread each; None takes all cores.
        gpus: how many train each network of the final training together; 0 trains each on one.
        wait_quiet: minutes to wait, at most, for a quiet device before each measurement.
        progress: told how far each stage is; None shows it in the terminal.
        options: the command's other options by name, such as ``evaluations=12`` or ``ray="auto"``.

    Raises:
        UsageError: a value that cannot be, or another plan than the folder's.
    """
    folder = as_path("out", out)
    told = as_progress(progress)
    options = {name: as_option(name, value) for name, value in options.items()}
    workers, gpus, wait_quiet = map(plain, (workers, gpus, wait_quiet))
    where = {name: options.pop(name) for name in EXECUTION_OPTIONS["derive"] if name in options}
    check_types(Execution, where)
    aim = None if target is None else str(target)
    data, space = as_option("data", data), as_option("space", space)
    asked = {"target": aim, "data": data, "space": space, **options}
    words = ", ".join(f"{name}={value!r}" for name, value in {**asked, "out": str(out)}.items())
    known = (*OPTIONS["derive"], *EXECUTION_OPTIONS["derive"])
    _check_not_of_others(name for name in asked if name not in known)
    plan = Plan.from_dict(asked, known)
    if not plan.aimed_at:
        raise UsageError("derive needs a target, or None and targets='1.5,2' for several")
    elsewhere = workers != 1 or where.keys() & {"ray", "time_limit_s"}
    if (plan.proxy or "").startswith("__main__:") and elsewhere:
        raise UsageError(
            f"proxy {plan.proxy!r} is in the notebook or script itself, which workers do not run: "
            "put it into a module, or give workers=1 without ray and a time limit"
        )
    with (
        script_kept_out(),
        open_session(
            plan,
            folder,
            Execution(workers=workers, gpus=gpus, wait_quiet=wait_quiet, **where),
            command=f"bneck.derive({words})",
            progress=told,
        ) as session,
    ):
        pipeline.derive(session)
    return Results(folder)


def _check_not_of_others(names: Iterable[str]) -> None:
    """Refuse what other commands alone are asked, by the command's name."""
    for name in names:
        if takers := [f"`bneck {command}`" for command in OPTIONS if name in OPTIONS[command]]:
            raise UsageError(
                f"unknown name in the plan: {name!r}; it is an option of {all_of(*takers)} alone"
            )


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
    minutes: float = CALIBRATION_MINUTES,
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
        target_device: "local", "ssh:USER@HOST[:PORT][/PYTHON]", "adb:[SERIAL][/BENCHMARK_MODEL]"
            or "file:DIR".
        minutes: time to spend; a slow or noisy device may take longer.
        seed: of the networks that are drawn.
        progress: told about every network; None shows it in the terminal.

    Raises:
        UsageError: an unknown space or runtime, no place for a file, or a run's own model.
    """
    file = as_path("out", out)
    check_new_model(file)
    check_not_own(file)
    told = as_progress(progress)
    resolution_px, classes, threads = map(plain, (resolution_px, classes, threads))
    batch_size, minutes, seed = map(plain, (batch_size, minutes, seed))
    check_range("seed", seed, 0, MAX_SEED)
    for name, word in (("space", space), ("runtime", runtime), ("target-device", target_device)):
        as_option(name, word)  # which says how an object of one's own is named
        if not isinstance(word, str):
            raise UsageError(f"{name} must be text, got {word!r}")
    spaces = spaces_called(space, resolution_px=resolution_px, classes=classes)
    device = open_device(target_device, runtime=runtime, threads=threads, batch_size=batch_size)
    if said := too_many_threads(device):
        warn(said)
    with closing(device):
        model = run_calibration(
            spaces,
            device,
            folder=file.with_name(file.name + ".work"),
            minutes=minutes,
            seed=seed,
            progress=told,
        )
    model.save(file)
    if model.report.doubt:
        warn(model.report.doubt)
    return model


def open_run(folder: str | Path) -> Results:
    """Open the run in a folder, finished or not, to look at.

    Raises:
        UsageError: the folder is not a run's.
    """
    return Results(as_path("folder", folder))
