"""Pretraining the weights of a whole space together; its largest network is the run's own."""

from dataclasses import replace
from math import ceil

from bneck import records
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.kept_training import on_test
from bneck.derivation.training_budget import budget
from bneck.files import is_written
from bneck.proxies import shared_weights
from bneck.proxies.data.worker_images import whole
from bneck.proxies.proxy import ELASTIC
from bneck.proxies.training.validation import evaluate
from bneck.results.run_files import NETWORK
from bneck.results.stage_record import Training
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.supernet import extract


def elastic_stage(
    session: Session, data: RunData, largest: Architecture
) -> tuple[Training, weights.State]:
    """Train the weights of all networks of the plan's space, and keep them in the run.

    They learn from the images that a search of the same seed trains on, so that it can judge by the
    others. The largest network is judged on the final validation images.

    Args:
        session: the run and its plan.
        data: facts about the images.
        largest: the space's largest network.

    Returns:
        How the largest network ended, and its weights, with batch norms of its own.

    Raises:
        ProxyFailed: the training diverged.
    """
    run, plan = session.run, session.plan
    files = run.training(NETWORK)
    if not is_written(files.result):
        asked = budget(plan, data.info)
        everything = whole(asked.images)
        images = everything.for_search(plan.seed)
        share = images.info.training / data.info.trained_on  # epochs are of what is trained on
        result = shared_weights.train_elastic(
            spaces.build(plan.space, **data.size),
            images,
            replace(asked.final, steps=ceil(asked.final.steps * share)),
            run.folder / ELASTIC,
            checkpoint=files.checkpoint,
            seed=plan.seed,
            progress=lambda what, *rest: session.progress(f"{what} shared weights", *rest),
            compute=session.compute_here(),
        )
        network = extract(shared_weights.load(run.folder)[1], largest)
        shared_weights.recalibrate(network, images)
        accuracy = evaluate(network, everything).accuracy
        tested = on_test(network, everything, session.compute_here())
        weights.save(files.weights, network.state_dict())
        records.write(files.result, Training(NETWORK, accuracy, result.seconds, tested))
    files.forget_checkpoint()
    return records.read(files.result, Training), weights.load(files.weights, largest)
