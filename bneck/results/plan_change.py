"""A change of a run's plan, which is taken back as long as no work was done by the new one."""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePath

from bneck import records
from bneck.files import write_whole
from bneck.results.run_files import TARGETS, RunFiles, only_shows

SUPERSEDED = "superseded"
"""Folder in a run for what a change of its plan replaces; nothing is deleted."""
CHANGE = "change.json"

BEGINNING = {
    *("plan.toml", ".lock", ".driver", "made_with.jsonl"),
    *(f"{name}.json" for name in ("images", "inherited", "seed", "seconds", "target")),
}
"""What a folder holds before anything was timed or trained."""
BEFORE_WORK = BEGINNING | {"measured.jsonl", "checksums.json", SUPERSEDED}
"""What of a run that was begun may change before a stage has done any work."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What made way, in that order, and when files that only work changes were changed, in ns."""

    replaced: tuple[str, ...]
    changed_at: dict[str, int]


class PlanChange:
    """What one session changes in a run's folder to make way for another plan.

    It is kept in ``superseded/1``, ``superseded/2``, ... in the run, so that the next session can
    take it back where this one is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._ended = folder, RunFiles(folder).ended
        self._replaced: list[str] = []
        self._obsolete: list[str] = []

    def supersede(self, pattern: str) -> None:
        """Move the files and folders that match, which the change makes obsolete."""
        self._obsolete.append(pattern)
        for path in sorted(self._folder.glob(pattern)):
            self.move(path)

    def is_obsolete(self, name: str) -> bool:
        """Return whether no command makes a file again, by its path in the run's folder."""
        places = (name, *map(str, PurePath(name).parents))
        patterns = (SUPERSEDED, *self._obsolete)
        return any(fnmatchcase(place, pattern) for place in places for pattern in patterns)

    def move(self, path: Path) -> None:
        """Move a file or folder; killed meanwhile, that is taken back too."""
        name = path.relative_to(self._folder).as_posix()
        self._replaced.append(name)
        self._write(_but_for(self._before, self._replaced))
        (self._place / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(self._place / name)

    def keep(self, file: Path) -> None:
        """Keep a copy of a file of the run's folder that is about to be replaced."""
        write_whole(self._place / file.name, file.read_bytes())
        self._replaced.append(file.name)

    def end(self, *files: Path) -> None:
        """Keep the files that tell of the new plan; all other writing is work by it."""
        for file in files:
            if file.exists() and file.name not in self._replaced:
                self.keep(file)
        self._write(self._changed_at())

    def take_back(self) -> None:
        """Put everything back as it was before the last change, unless work was done since.

        Nor is it put back once a command has ended by the new plan: there was no more to do.

        The plan comes first and the outcome last: killed meanwhile, the run is not finished by a
        plan that it was not made by. The runs of other targets, which the command opens by the same
        plan, come before all.
        """
        if not self._ended.exists():  # else no command was cut off
            for run in sorted((self._folder / TARGETS).glob("*")):
                PlanChange(run).take_back()
        place = self._superseded(0)
        change = records.read_if_written(place / CHANGE, _Change)
        if change is None:
            return
        there = {path.relative_to(place).as_posix() for path in place.rglob("*")}
        back = set(change.replaced) - there  # put there by a driver that was killed meanwhile
        now = _but_for(self._changed_at(), back)
        ended = {self._ended.name} - now.keys()  # removed where a command begins
        if _but_for(change.changed_at, ended) != now:
            return
        for name in reversed(change.replaced):
            if name in there:  # somebody else's run may name files outside of it
                os.renames(place / name, self._folder / name)
        (place / CHANGE).unlink()
        with suppress(OSError):  # somebody has put something there
            os.removedirs(place)

    @cached_property
    def _before(self) -> dict[str, int]:
        """What the change begins with; listed once, as it only moves files until it ends."""
        return self._changed_at()

    @cached_property
    def _place(self) -> Path:
        return self._superseded(1)

    def _superseded(self, further: int) -> Path:
        """The folder of the last change, or of the one ``further`` after it."""
        places = self._folder / SUPERSEDED
        numbers = [int(place.name) for place in places.glob("*") if place.name.isdecimal()]
        return places / str(max(numbers, default=0) + further)

    def _write(self, changed_at: dict[str, int]) -> None:
        records.write(self._place / CHANGE, _Change(tuple(self._replaced), changed_at))

    def _changed_at(self) -> dict[str, int]:
        return {
            path.relative_to(self._folder).as_posix(): path.stat().st_mtime_ns
            for place in self._folder.iterdir()
            if place.name not in BEFORE_WORK
            for path in (place, *place.rglob("*"))
            if path.is_file() and _is_work(path.relative_to(self._folder))
        }


def _but_for(changed_at: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    """The files that are neither one of the names nor in a folder that is."""
    return {
        file: at
        for file, at in changed_at.items()
        if not any(PurePath(file).is_relative_to(name) for name in names)
    }


def _is_work(file: Path) -> bool:
    """Whether a command has done work that wrote a file; file managers leave hidden ones.

    The run of another target may change as its run does before any work.
    """
    in_run_of_target = file.parts[0] == TARGETS and len(file.parts) > 2
    if in_run_of_target and file.parts[2] in BEFORE_WORK:
        return False
    return not file.name.startswith(".") and not only_shows(file)
