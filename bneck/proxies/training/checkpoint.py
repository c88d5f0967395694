"""A training's state in one safetensors file, its counters as JSON in the header."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bneck.errors import UsageError, first_line
from bneck.files import write_whole
from bneck.json_text import parse_json
from bneck.proxies.data.augmentation_words import AUGMENTATION
from bneck.proxies.training.distributed import rank
from bneck.quantities import is_finite


@dataclass
class TrainingState:
    """All that a training changes from step to step, which is what its checkpoint holds.

    Attributes:
        averaged: the averaged weights and buffers, where they are kept.
        threads: the number of threads that was found to be fastest, once it is known.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: Mapping[str, Tensor]
    step: int = 0  # steps done
    seconds: float = 0.0
    threads: int | None = None
    checkpoint: Path | None = None
    made_with: dict[str, Any] = field(default_factory=dict)

    def save(self) -> None:
        """Replace the checkpoint, if there is to be one; of several processes, the first does."""
        if self.checkpoint is None or rank() > 0:
            return
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        tensors |= {f"optimizer.{k}": t for k, t in _optimizer_tensors(self.optimizer).items()}
        tensors |= {f"average.{name}": t for name, t in self.averaged.items()}
        counters = [self.step, self.seconds, self.threads]
        header = {"counters": json.dumps(counters), "made_with": json.dumps(self.made_with)}
        content = save({name: t.cpu().contiguous() for name, t in tensors.items()}, header)
        write_whole(self.checkpoint, content)

    def resume(self, checkpoint: Path, made_with: dict[str, Any]) -> None:
        """Keep a checkpoint from here on, and continue from what it holds already.

        Args:
            checkpoint: the file; it need not exist.
            made_with: what a training must share with the checkpoint to resume from it.

        Raises:
            UsageError: the file is not a checkpoint, or was made with something else.
        """
        self.checkpoint, self.made_with = checkpoint, made_with
        if not checkpoint.exists():
            return
        tensors, counters = load_checkpoint(checkpoint, made_with)
        try:
            self._take(tensors, counters)
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            said = first_line(error)
            raise UsageError(f"{checkpoint} is not a training checkpoint: {said}") from error

    def _take(self, tensors: dict[str, Tensor], counters: Any) -> None:
        step, seconds, *more = counters
        if not (type(step) is int and step >= 0 and is_finite(seconds)):
            raise ValueError(f"it counts {step!r:.40} steps in {seconds!r:.40} s")
        self.step, self.seconds = step, seconds
        self.threads = next((one for one in more if type(one) is int and one > 0), None)
        self.network.load_state_dict(_under("network.", tensors))
        _restore_optimizer(self.optimizer, _under("optimizer.", tensors))
        averaged = _under("average.", tensors)
        for name, tensor in self.averaged.items():
            tensor.copy_(averaged[name])


def load_checkpoint(path: Path, made_with: dict[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """Return (tensors, counters) of a checkpoint that was made with just this.

    Raises:
        UsageError: the file is not a checkpoint, or was made with something else, which is named.
    """
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata()
            found = _as_earlier(made_with) | parse_json(header["made_with"])
            counters = parse_json(header["counters"])
            differences = [
                f"{key} {found.get(key)!r}, not {value!r}"
                for key, value in made_with.items()
                if found.get(key) != value
            ]
            if differences:
                raise UsageError(
                    f"{path} was made with {'; '.join(differences)}: resume with that, or remove "
                    "the file to train from the beginning"
                )
            return {name: file.get_tensor(name) for name in file.keys()}, counters  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not a training checkpoint: {error}") from error


def _as_earlier(made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return what checkpoints of earlier versions do not say; their teacher is taken on trust."""
    return {"augmentation": AUGMENTATION, "balanced": False, "teacher": made_with.get("teacher")}


def steps_done(path: Path) -> int | None:
    """Return the number of steps that a checkpoint's training has done; None without one."""
    try:
        with safe_open(path, "pt") as file:
            return int(parse_json(file.metadata()["counters"])[0])
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, OverflowError):
        return None


def digest(network: nn.Module) -> str:
    """Return 12 hex digits of the names, shapes and values of a network's weights and buffers."""
    sha = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        sha.update(tensor.cpu().contiguous().numpy().data)
    return sha.hexdigest()[:12]


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of each parameter by its number: ``"0.exp_avg"``, ..."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{key}": t for number, each in state.items() for key, t in each.items()}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo ``_optimizer_tensors``, each tensor laid out in memory like its parameter."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".")
        like = parameters[int(number)]
        if tensor.shape == like.shape:
            tensor = torch.empty_like(like).copy_(tensor)
        state.setdefault(int(number), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
