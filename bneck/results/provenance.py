"""What a run was made with: command, device and versions, noted at every start."""

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bneck import __version__
from bneck.machine import cpu_name

LIBRARIES = ("numpy", "onnx", "onnxruntime", "optuna", "torch", "torchvision")


@dataclass(frozen=True, slots=True)
class MadeWith:
    """One session of a run: when it began (UTC), by which command, on what."""

    started: str
    command: str
    device: str
    cores: int
    versions: Mapping[str, str]

    def bneck_command(self) -> str:
        """The command of bneck alone, such as "derive", from the shell or Python; "" if unknown."""
        found = re.match(r"(?:bneck[ .]|cli\.py )(\w+)", self.command)
        return found[1] if found else ""


def this_session(command: str | None) -> MadeWith:
    """The session that begins now; ``command`` is this process's command line where it is None."""
    versions = {"bneck": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return MadeWith(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        device=cpu_name(),
        cores=os.cpu_count() or 1,
        versions=versions,
    )
