"""Whether the plan's latency model will be able to predict a network that the user names."""

from pathlib import Path
from shlex import quote

from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.latency.calibration.networks import published
from bneck.latency.coverage import foreign_to, never_timed
from bneck.latency.devices.file import FileDevice
from bneck.latency.devices.table import TableDevice
from bneck.latency.kit_content import KIT, read_kit
from bneck.latency.model import load
from bneck.latency.runtimes import as_options
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space


def check_predictable(session: Session, data: RunData, arch: Architecture) -> None:
    """Refuse a network that the plan's calibration could not predict, before it is begun.

    Args:
        session: the run and its plan; nothing is done where either has measurements already.
        data: gives side and classes of the networks that the calibration times.
        arch: the network that is to be shrunk.

    Raises:
        UsageError: no network of the space has one of its kernels; or a latency model or table
            that the plan names does not know it.
    """
    plan = session.plan
    if is_written(session.run.latency):
        return
    device = session.target_device()
    if isinstance(device, TableDevice):
        device.published.predict(arch)
        return
    if plan.latency is not None:
        load(Path(plan.latency)).predict(arch)
        return
    if isinstance(device, FileDevice) and (device.folder / KIT).exists():
        return  # which may be of any space
    lacking = never_timed(spaces.build(plan.space, **data.size), arch)
    if lacking is not None:
        raise UsageError(
            f"{plan.seed_network}: no network of space {plan.space} has anything like {lacking}, "
            f"so that a calibration on it could not predict that; {_help(session, data, arch)}"
        )


def check_kit_predicts(session: Session, space: Space) -> None:
    """Refuse a kit that was written for another space than is searched, before it is carried.

    Args:
        session: the run and its plan; nothing is done where either has measurements already.
        space: what is searched.

    Raises:
        UsageError: no network of the kit has a kernel that networks of the space have.
    """
    device = session.target_device()
    has_model = session.plan.latency is not None or is_written(session.run.latency)
    if has_model or not isinstance(device, FileDevice):
        return
    kit = read_kit(device.folder)
    if kit is None:
        return
    kit.check_calibrates()
    networks = [codec.from_json(item["arch"]) for item in kit.content["networks"]]
    if lacking := foreign_to(space, networks):
        raise UsageError(
            f"the kit in {device.folder} is of another space: none of its networks has anything "
            f"like {lacking}, which space {space.name} has; give the --space of the kit, or "
            "another folder"
        )


def _help(session: Session, data: RunData, arch: Architecture) -> str:
    """What can be done: another space that has all of the network, or a model of all spaces."""
    plan, size = session.plan, data.size
    for name in spaces.SPACES:
        if name != plan.space and never_timed(spaces.build(name, **size), arch) is None:
            return f"give --space {name}"
    if never_timed(published(**size), arch) is not None:
        return "give a space of your own that has it (docs/extending.md)"
    asked = f"--space all --resolution {size['resolution_px']} --classes {size['classes']}"
    if plan.target_device.startswith("file:"):
        settings = as_options(plan.runtime, batch_size=plan.batch_size)
        folder = quote(plan.target_device.removeprefix("file:"))
        return f"write the kit by `bneck latency kit {asked} {settings} --out {folder}`"
    settings = as_options(plan.runtime, threads=plan.threads, batch_size=plan.batch_size)
    if plan.target_device != "local":
        settings += f" --target-device {quote(plan.target_device)}"
    return f"give --latency FILE, made by `bneck calibrate {asked} {settings} --out FILE`"
