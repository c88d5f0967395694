"""Long trainings on Ray Tune: ASHA stops poor ones early, checkpoints take the others elsewhere.

Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): at 1/9 and at 1/3 of the steps
only the best third of all trainings that ever got so far continues. Tune runs trainings and no
more: which network is next, and what became of each, stays with the driver's study.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from queue import SimpleQueue
from shutil import copyfile
from threading import Thread
from typing import Any, Protocol

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from bneck.errors import BneckError, UsageError
from bneck.executors import NOT_YET, Failed, Item, NotYet, Result, reason
from bneck.executors.pool import TRIES
from bneck.executors.ray import Actors
from bneck.executors.reserved import ONE_CPU, Reserved
from bneck.executors.worker import Refused, pin_threads

SHARES, REDUCTION = 9, 3
CHECKPOINT = "training.checkpoint"

_ENDS: dict[str, SimpleQueue[tuple[int, Any]]] = {}
"""News of each of this process's Tune runs: (place of the item, its outcome), -1 for none."""


class Staged(Protocol):
    """A task that trains in steps and says how it goes; it is the same training wherever it runs.

    ``train`` writes its state to ``checkpoint`` now and then, resumes from it where there is one,
    and calls ``report(step, accuracy)`` at every ninth of its ``steps``.
    """

    steps: int

    def train(self, item: Any, checkpoint: Path, report: Callable[[int, float], None]) -> float: ...


class Tuned:
    """An executor for tasks that are ``Staged``; what ASHA stops has failed, and says where.

    ``storage`` is a folder that all nodes share: checkpoints travel through it.
    """

    in_stages = True

    def __init__(
        self, address: str, workers: int | None, storage: Path, *, reserved: Reserved = ONE_CPU
    ) -> None:
        if address.startswith("ray://"):
            raise UsageError(
                f"--asha needs a driver inside the cluster (--ray auto), not {address}"
            )
        os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        self._crew = Actors(address, workers, reserved)
        self.workers = workers or self._crew.room()
        self._storage, self._reserved = storage.resolve(), reserved
        self._scheduler: ASHAScheduler | None = None
        self._runs = 0

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its accuracy) as trainings end; those that ASHA stops are ``Failed``."""
        if not hasattr(task, "train"):
            raise UsageError(f"ASHA needs a task that trains in steps, and {task!r} does not")
        stream = iter(items)
        while batch := list(takewhile(lambda one: one is not NOT_YET, stream)):
            yield from self._batch(task, batch)

    def _batch(
        self, task: Callable[[Item], Result], items: list[Any]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """Train all that could be proposed without results; then the next can be."""
        self._runs += 1
        name = f"{os.getpid()}-{self._runs}"
        ends = _ENDS[name] = SimpleQueue()
        thread = Thread(target=self._run, args=(task, items, name), daemon=True)
        thread.start()
        left = set(range(len(items)))
        while left:
            place, outcome = ends.get()
            if isinstance(outcome, Refused):
                raise UsageError(outcome.message)
            if place < 0:
                raise BneckError(f"Ray Tune ended before its trainings did: {outcome}")
            if place in left:
                left.remove(place)
                yield items[place], outcome
        thread.join()
        del _ENDS[name]

    def close(self) -> None:
        """Let go of the cluster."""
        self._crew.close()

    def _run(self, task: Any, items: list[Any], name: str) -> None:
        if self._scheduler is None:  # one for all batches: its rungs remember earlier networks
            self._scheduler = ASHAScheduler(
                time_attr="step",
                metric="accuracy",
                mode="max",
                max_t=task.steps,
                grace_period=max(1, task.steps // SHARES),
                reduction_factor=REDUCTION,
            )
        trainable = tune.with_parameters(_trained, task=task, items=items)
        resources = {"cpu": self._reserved.cpus, "gpu": self._reserved.gpus}
        try:
            tune.Tuner(
                tune.with_resources(trainable, resources),
                param_space={"place": tune.grid_search(list(range(len(items))))},
                tune_config=tune.TuneConfig(
                    scheduler=self._scheduler,
                    max_concurrent_trials=self.workers,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name=name,
                    storage_path=str(self._storage),
                    failure_config=tune.FailureConfig(max_failures=TRIES - 1),
                    callbacks=[_Ends(name, task.steps)],
                    verbose=0,
                ),
            ).fit()
        except Exception as error:
            _ENDS[name].put((-1, reason(error)))
        else:
            _ENDS[name].put((-1, "some training gave no news"))


class _Ends(tune.Callback):
    """Tells the driver of every training that has ended; Tune pickles it, so it holds no queue."""

    def __init__(self, name: str, steps: int) -> None:
        self._name, self._steps = name, steps

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result or {}
        outcome = last.get("outcome")
        if outcome is None:
            said = f"accuracy {last.get('accuracy', 0.0):.4f} is not among the best third"
            outcome = Failed(f"stopped by ASHA at step {last.get('step')} of {self._steps}: {said}")
        _ENDS[self._name].put((trial.config["place"], outcome))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        lines = (trial.error_file and Path(trial.error_file).read_text().strip().splitlines()) or [
            "its worker was lost"
        ]
        _ENDS[self._name].put((trial.config["place"], Failed(f"{lines[-1]}, {TRIES} times")))


def _trained(config: dict[str, Any], task: Any, items: list[Any]) -> None:
    """One training, in a worker: restored if Tune has a checkpoint of it, then reported on."""
    pin_threads()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / CHECKPOINT
        if (kept := tune.get_checkpoint()) is not None:
            with kept.as_directory() as before:
                copyfile(Path(before) / CHECKPOINT, checkpoint)

        def report(step: int, accuracy: float, **more: Any) -> None:
            state = None
            if checkpoint.exists():
                state = tune.Checkpoint.from_directory(folder)
            tune.report({"step": step, "accuracy": accuracy, **more}, checkpoint=state)

        outcome: float | Failed | Refused
        try:  # Tune stops a training by SystemExit, which has to pass
            outcome = task.train(items[config["place"]], checkpoint, report)
        except UsageError as error:
            outcome = Refused(str(error))
        except Exception as error:
            outcome = Failed(reason(error))
        share = outcome if isinstance(outcome, float) else 0.0
        report(task.steps, share, outcome=outcome)
