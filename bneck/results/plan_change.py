"""A change of a run's plan, which a mistake takes back."""

from pathlib import Path

from bneck.files import write_whole

BEGINNING = {
    *("plan.toml", ".lock", ".driver", "made_with.jsonl"),
    *(f"{name}.json" for name in ("images", "inherited", "seed", "seconds", "target")),
}
"""What a folder holds before anything was timed or trained."""
BEFORE_WORK = BEGINNING | {"measured.jsonl", "ended.json", "checksums.json", "superseded"}
"""What of a run that was begun may change before a stage has done any work."""


class PlanChange:
    """What one session changes in a run's folder to make way for another plan.

    As long as no stage has done any work by the new plan, it can be taken back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[Path, bytes] = {}
        self._moved: list[tuple[Path, Path]] = []
        self._files: dict[Path, int] | None = None

    def begin(self, *files: Path) -> None:
        """Remember what the files hold that the new plan will be written into."""
        self._before = {file: file.read_bytes() for file in files if file.exists()}

    def move(self, path: Path, to: Path) -> None:
        """Move what the change makes obsolete."""
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)
        self._moved.append((path, to))

    def end(self) -> None:
        """Whatever is written from now on is work by the new plan."""
        self._files = self._changed_at()

    def take_back(self) -> None:
        """Put everything back as it was before, unless there was no change or work was done since.

        The plan comes first and the outcome last: killed meanwhile, the run is not finished by a
        plan that it was not made by.
        """
        if self._files is None or self._changed_at() != self._files:
            return
        for file, content in self._before.items():
            write_whole(file, content)
        for path, place in reversed(self._moved):
            place.rename(path)
            for folder in place.parents:
                if folder == self._folder or any(folder.iterdir()):
                    break
                folder.rmdir()

    def _changed_at(self) -> dict[Path, int]:
        """When each file was changed that only the work of a stage changes, in ns."""
        return {
            path: path.stat().st_mtime_ns
            for place in self._folder.iterdir()
            if place.name not in BEFORE_WORK
            for path in (place, *place.rglob("*"))
            if path.is_file()
        }
