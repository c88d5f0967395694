"""What ``--pretrained`` names: torchvision's weights, a file of weights, or a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.errors import BneckError, UsageError, cannot, did_you_mean
from bneck.files import is_written
from bneck.path_checks import check_file
from bneck.proxies.data.image_info import IMAGENET_MEAN, IMAGENET_STD
from bneck.proxies.proxy import ELASTIC
from bneck.results.image_facts import read_image_facts
from bneck.results.run import Run
from bneck.results.run_folder import is_run
from bneck.space import codec, presets
from bneck.space.architecture import Architecture

if TYPE_CHECKING:  # torch, which checking a word does not need
    from bneck.space.backends.weights import State

IMAGENET = "imagenet"
TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "mnasnet_b1": "mnasnet1_0",
}
"""Networks whose ImageNet weights torchvision publishes, and what it calls them."""
NEAREST = {
    "v3-small": "mobilenet_v3_small",
    "v3-small-plain": "mobilenet_v3_small",
    "v3-large": "mobilenet_v3_large",
    "mnasnet": "mnasnet_b1",
    "accel-nasbench": "mnasnet_b1",
}
"""Space -> the network of ``TORCHVISION`` that its own are most like."""
SAFETENSORS = ".safetensors"
Normalisation = tuple[Sequence[float], Sequence[float]]
"""(mean, std) of red, green and blue, on the scale 0 to 1."""
BY_IMAGENET: Normalisation = (IMAGENET_MEAN, IMAGENET_STD)


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A trained network, as it was found.

    Attributes:
        arch: the network, for the classes that it was trained for.
        state: its tensors by name.
        normalisation: what its images were normalised with, if that is known.
        class_names: its classes, if they are known.
        shared: weights of all networks of its space, by name, if it was trained with these.
    """

    arch: Architecture
    state: "State"
    normalisation: Normalisation | None
    class_names: tuple[str, ...] | None = None
    shared: "State | None" = None

    def has_classes(self, names: Sequence[str]) -> bool:
        """Return whether it was trained for these classes, as far as is known."""
        if self.class_names is not None:
            return self.class_names == tuple(names)
        return self.arch.classes == len(names)


def check_pretrained(
    text: str, space: str, net: str | None, *, kind: str = "pretrained network", others: str = ""
) -> None:
    """Raise UsageError where ``load_pretrained`` would, as far as can be said without torch.

    Args:
        text: what ``--pretrained`` was given.
        space: the plan's space.
        net: the network that the command was given, if any.
        kind: what is named; for messages.
        others: what else may be named, with a comma behind each.
    """
    if is_run(text):
        _files_of_run(Run.read(Path(text)))
    elif text == IMAGENET or text in TORCHVISION:
        _published(text, space, net)
    elif Path(text).is_dir():
        Run.read(Path(text))  # which says what it lacks
    elif Path(text).exists() or Path(text).suffix or "/" in text:
        _check_weights(Path(text))
    else:
        known = (IMAGENET, *TORCHVISION)
        raise UsageError(
            f"unknown {kind} {text!r}; expected {others}a run's folder, a file of weights or "
            f"one of: {', '.join(known)}{did_you_mean(text, known)}"
        )


def _check_weights(path: Path) -> None:
    """Refuse a file that does not begin as weights do, long before torch is there to read it."""
    check_file(path)
    try:
        with path.open("rb") as file:
            begins = file.read(9)
    except OSError as error:
        raise cannot("read", path, error) from error
    ours = begins[8:] == b"{"  # behind its length, a safetensors file's header
    if not (ours if path.suffix == SAFETENSORS else begins.startswith((b"PK", b"\x80"))):
        raise UsageError(
            f"{path} holds no weights: expected a file that ends in {SAFETENSORS} and is one, or "
            "what torch.save(network.state_dict(), FILE) writes"
        )


def load_pretrained(text: str, space: str, net: str | None) -> Pretrained:
    """Return the trained network that ``--pretrained`` names, downloaded where it must be.

    Args:
        text: ``imagenet``, a network of ``TORCHVISION``, a file of weights, or a run's folder.
        space: the plan's space, which decides what ``imagenet`` is where no network is given.
        net: the network that the command was given, if any.

    Raises:
        UsageError: none of these, a file whose tensors fit no network that is known, or the first
            tensor that is not finite.
        BneckError: torchvision's weights are not there and cannot be downloaded.
    """
    from bneck.space.backends import weights

    check_pretrained(text, space, net)
    found = _found(text, space, net)
    weights.check_finite(found.state if found.shared is None else found.shared, text)
    return found


def _found(text: str, space: str, net: str | None) -> Pretrained:
    """The trained network as it is."""
    from bneck.space.backends import torchvision_weights, weights

    if is_run(text):
        run = Run.read(Path(text))
        network, tensors = _files_of_run(run)
        return _of_run(run, arch := codec.load(network), weights.load(tensors, arch))
    if text == IMAGENET or text in TORCHVISION:
        name = _published(text, space, net)
        arch = presets.build(name)
        return Pretrained(arch, torchvision_weights.load(_downloaded(name), arch), BY_IMAGENET)
    return _of_file(Path(text), space, net)


def _files_of_run(run: Run) -> tuple[Path, Path]:
    """The files of a run's network and of its weights."""
    if not (is_written(run.network) and is_written(run.weights)):
        run.check_single()
        raise UsageError(f"the run {run.folder} has no trained network; it is {run.read_state()}")
    return run.network, run.weights


def _of_run(run: Run, arch: Architecture, state: "State") -> Pretrained:
    facts = read_image_facts(run)
    known = (facts.mean, facts.std) if facts and facts.mean and facts.std else None
    names = facts.class_names if facts else None
    return Pretrained(arch, state, known, names, _shared(run))


def _shared(run: Run) -> "State | None":
    """The weights that the run's whole space shares, if it trained such."""
    if not (run.folder / ELASTIC).is_file():
        return None
    from bneck.proxies import shared_weights

    return shared_weights.load(run.folder)[1]


def _published(text: str, space: str, net: str | None) -> str:
    """The network of ``TORCHVISION`` that a word names."""
    wanted = text if text != IMAGENET else NEAREST.get(space) if net is None else net
    if wanted in TORCHVISION:
        return wanted
    raise UsageError(
        f"{IMAGENET} does not say whose weights are meant, as torchvision has none for "
        f"{net or f'the space {space}'}; name one of: {', '.join(TORCHVISION)}"
    )


def _downloaded(name: str) -> Path:
    """The file of torchvision's weights of a network, where torch keeps such files."""
    import torch
    from torchvision.models import get_model_weights

    url = str(next(reversed(get_model_weights(TORCHVISION[name]))).url)  # the latest weights
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            begins_with = file.stem.rpartition("-")[2]  # of the SHA-256, which the name ends with
            torch.hub.download_url_to_file(url, str(file), begins_with, progress=False)
        except (OSError, RuntimeError) as error:  # no network; another file than the right one
            raise BneckError(
                f"cannot download {url} ({error}); put that file into {file.parent}"
            ) from None
    return file


def _of_file(path: Path, space: str, net: str | None) -> Pretrained:
    """The network that a file's tensors fit: the one beside it, the one given, a published one."""
    from bneck.space.backends import torchvision_weights, weights

    state = torchvision_weights.read(path)
    ours = path.suffix == SAFETENSORS and not torchvision_weights.are_in(state)
    if ours and is_run(path.parent):
        run = Run.read(path.parent)
        if is_written(run.network):
            arch = codec.load(run.network)
            return _of_run(run, arch, weights.fitted(state, arch, str(path)))
    count = weights.classes(state) if ours else torchvision_weights.classes(state)
    first_problem = None
    for network in _candidates(space, net):
        arch = network.at(classes=count)
        try:
            if ours:
                return Pretrained(arch, weights.fitted(state, arch, str(path)), None)
            return Pretrained(arch, torchvision_weights.from_torchvision(state, arch), BY_IMAGENET)
        except UsageError as error:
            first_problem = first_problem or error
    raise UsageError(f"{path} is not of a network that bneck knows: {first_problem}")


def _candidates(space: str, net: str | None) -> Iterator[Architecture]:
    """Networks that a file of weights may be of, the likeliest first."""
    from bneck.results.networks import load_network

    if net is not None:
        yield load_network(net)
    elif space in NEAREST:
        yield presets.build(NEAREST[space])
    yield from (presets.build(name) for name in presets.PRESETS)
