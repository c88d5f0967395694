"""Long trainings through an executor, several at once.

Two threads make one training of a mobile network at 32 px about 1.35 times as fast; two trainings
of one thread each finish twice as much.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bneck import records
from bneck.derivation.stages.kept_training import train_and_keep
from bneck.errors import BneckError, UsageError
from bneck.executors import Executor, Failed
from bneck.executors.gpus import most_on_each
from bneck.files import is_written
from bneck.machine import ONE_THREAD, Compute, gpu_shared_by
from bneck.progress import Progress, silent
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training.checkpoint import steps_done
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.teacher import Teacher
from bneck.results.run_files import TrainingFiles
from bneck.results.stage_record import Training
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.units import percent

SECONDS_BETWEEN_LOOKS = 20.0


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A network to train, the seed of its training, and the name that it is kept under.

    ``start`` is a file of the weights that it begins with; None for random ones.
    """

    name: str
    arch: Architecture
    seed: int
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class LongTraining:
    """A long training as an executor's task.

    Attributes:
        images: what is trained and measured on.
        recipe: how.
        folder: keeps checkpoints, weights and results, as ``train_and_keep`` does.
        compute: device and threads; part of the task, so that results do not depend on the
            executor.
        branches: whether convolutions have parallel branches until the training ends.
        teacher: a trained network whose outputs are learnt too.
        on_each_gpu: how many trainings share a GPU's memory; 0 for what the worker was given.
    """

    images: WorkerImages
    recipe: Recipe
    folder: Path
    compute: Compute = ONE_THREAD
    branches: bool = False
    teacher: Teacher | None = None
    on_each_gpu: int = 0

    def files(self, job: TrainingJob) -> TrainingFiles:
        """Return where a training is kept."""
        return TrainingFiles(self.folder, job.name)

    def load(self) -> None:
        """Have the images in memory, before any training is timed."""
        whole(self.images)

    def __call__(self, job: TrainingJob) -> Training:
        """Train a network, or read what was trained before.

        Raises:
            ProxyFailed: the training diverged.
            UsageError: the folder is not on this machine.
        """
        if not os.path.isdir(self.folder):  # pathlib raises for what is another user's
            raise UsageError(
                f"{self.folder} is not here: --out must be on a file system that all nodes share"
            )
        start = job.start
        with gpu_shared_by(self.on_each_gpu):
            training, _ = train_and_keep(
                job.arch,
                whole(self.images),
                self.recipe,
                self.files(job),
                seed=job.seed,
                compute=self.compute,
                start=weights.load(start, job.arch) if start is not None else None,
                branches=self.branches,
                teacher=self.teacher,
            )
        return training


def train_all(
    jobs: Sequence[TrainingJob], task: LongTraining, executor: Executor, progress: Progress = silent
) -> tuple[Training, ...]:
    """Train all jobs that the folder does not hold yet; return all trainings, in their order.

    Stopped, each training resumes from its checkpoint. The trainings share the memory of this
    machine's GPUs among themselves, whatever share an evaluation has.

    Args:
        jobs: what is trained.
        task: how each is trained, and the folder where it is kept.
        executor: where the trainings run.
        progress: told how far each training is, and how many have ended.

    Raises:
        BneckError: a training failed, when the others are done (names it and says why).
    """
    files = {one: task.files(one).result for one in jobs}
    waiting = [one for one, file in files.items() if not is_written(file)]
    failed: dict[str, str] = {}
    for one in files.keys() - {*waiting}:
        task.files(one).forget_checkpoint()
    done = len(files) - len(waiting)
    if waiting:
        progress("trainings", done, len(files))
        task.folder.mkdir(parents=True, exist_ok=True)
        executor.rest()  # new workers take one GPU after the other, idle ones what they have
        at_once = min(len(waiting), executor.workers)
        task = replace(task, on_each_gpu=most_on_each(task.compute.device, at_once))
    with _watching(waiting, task, progress) as finished:
        for one, outcome in executor.map_unordered(task, waiting):
            if isinstance(outcome, Failed):
                failed[one.name] = outcome.reason
                note = f"{one.name} failed"
            else:
                note = f"{one.name}: {percent(outcome.accuracy)}"
            done += 1
            finished(one, done, len(files), note)
    if failed:
        name, why = next(iter(failed.items()))
        raise BneckError(f"the training of {name} failed: {why}")
    return tuple(records.read(file, Training) for file in files.values())


@contextmanager
def _watching(
    waiting: Sequence[TrainingJob], task: LongTraining, progress: Progress
) -> Iterator[Callable[[TrainingJob, int, int, str], None]]:
    """Tell how far the trainings are, as their checkpoints say, wherever they run.

    Yields what to call as each one ends: (job, all that are done, of how many, the news).
    """
    steps, left = task.recipe.steps, list(waiting)
    one_at_a_time, ended = threading.Lock(), threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            with one_at_a_time, suppress(KeyboardInterrupt):  # which is the main thread's to obey
                for one in left:
                    done = steps_done(task.files(one).checkpoint)
                    if done is not None:
                        progress(f"training {one.name}", done, steps)

    def finished(one: TrainingJob, done: int, total: int, note: str) -> None:
        with one_at_a_time:
            left.remove(one)
            progress(f"training {one.name}", steps, steps)
            progress("trainings", done, total, note)

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield finished
    finally:
        ended.set()
        watch.join()
