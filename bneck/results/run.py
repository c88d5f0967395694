"""A run is a folder that explains itself, can be moved, and resumes where it stopped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import tomli_w

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.files import is_written, naming, remove_unfinished, write_json, write_whole
from bneck.results.lease import LEASE
from bneck.results.lock import Lock, is_held
from bneck.results.plan_change import BEGINNING, PlanChange
from bneck.results.plan_file import (
    SETTLED,
    PlanValues,
    as_written,
    differences,
    plan_before,
    read_plan,
)
from bneck.results.provenance import MadeWith, this_session
from bneck.results.run_files import SHOWN, RunFiles
from bneck.results.run_folder import PLAN, check_files, is_run, make_folder
from bneck.space.checks import check_range
from bneck.text import option_name, spelt_out


class Run(RunFiles):
    """The files of one run, and the lock that keeps a second driver out.

    Use as a context manager, or call ``close``; a process that dies lets go of the lock too.
    """

    def __init__(self, folder: Path, plan: PlanValues, lock: Lock | None = None) -> None:
        super().__init__(folder)
        self._plan_file, self._sessions_file = folder / PLAN, folder / "made_with.jsonl"
        self.plan = plan
        self._lock = lock
        self._is_new = self._made_folder = False
        self._copied: set[str] = set()
        self.plan_change = PlanChange(folder)

    @classmethod
    def open(
        cls,
        folder: Path,
        plan: PlanValues,
        *,
        defaults: PlanValues | None = None,
        command: str | None = None,
        change: Callable[[Self, PlanValues], None] | None = None,
    ) -> Self:
        """Begin a run in ``folder``, or resume the one that is there if its plan is the same.

        Args:
            folder: made where there is none.
            plan: what is asked.
            defaults: what an earlier version's plan means where it says nothing.
            command: what repeats the run, by default the command line of this process.
            change: makes way in the run for another plan than it was begun with, which it is
                given, or raises UsageError; by default every other plan is refused.

        Raises:
            UsageError: another plan, another driver at work, a folder that is not a run, or names
                that are not UTF-8, which the run's files could not hold.
            BneckError: the folder cannot be written.
        """
        for word in (str(folder), *plan.values()):
            if isinstance(word, str) and word != spelt_out(word):
                raise UsageError(f"{word} is not a name in UTF-8: give it another one")
        made = not folder.exists()
        make_folder(folder)
        check_files(folder, links=False)
        run = cls(folder, as_written(plan), Lock(folder))
        run._made_folder = made
        try:
            remove_unfinished(folder)  # a driver that was killed may have left gigabytes of them
            run.plan_change.take_back()  # of a driver that was killed before it did any work
            if not is_written(run._plan_file):
                run._is_new = True
                write_whole(run._plan_file, tomli_w.dumps(dict(run.plan)))
            was = plan_before(run._plan_file, run.plan, defaults or {})
            this = this_session(command)
            if said := differences(was, run.plan):
                run._refuse_other_command(this)
                if change is None:
                    raise UsageError(f"{said}; use another --out or the same plan")
                change(run, was)
                run.plan_change.end(run._plan_file, run.target, run._sessions_file)
                decided = {name: was[name] for name in SETTLED if name in was}
                write_whole(run._plan_file, tomli_w.dumps(decided | dict(run.plan)))
            records.append(run._sessions_file, this)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the run in ``folder``, to look at only; a driver may be at work in it.

        Raises:
            UsageError: there is no run in ``folder``.
        """
        if not is_run(folder):
            lacks = f"it has no {PLAN}" if folder.is_dir() else "there is no such folder"
            if folder.is_file():
                lacks = "it is a file" + f" of the run {folder.parent}" * is_run(folder.parent)
            raise UsageError(f"{folder} is not a run's folder: {lacks}")
        check_files(folder)
        return cls(folder, read_plan(folder / PLAN))

    def images_asked(self) -> dict[str, Any]:
        """Return which images the run has, by the names of ``loading.load``: spec, seed and so on.

        Raises:
            UsageError: the plan does not say.
        """
        data, seed = self.plan.get("data"), self.plan.get("seed")
        if not isinstance(data, str) or not isinstance(seed, int):
            raise UsageError(
                f"{self._plan_file} does not name the run's images and seed: "
                f"data = {data!r}, seed = {seed!r}"
            )
        skip_unreadable = bool(self.plan.get("skip_unreadable", False))
        return {"spec": data, "seed": seed, "skip_unreadable": skip_unreadable}

    def settle(self, name: str, value: int) -> int:
        """Return what the plan says of ``name``; where it says nothing, write ``value`` into it."""
        if (known := self.settled(name)) is not None:
            return known
        write_whole(self._plan_file, tomli_w.dumps(read_plan(self._plan_file) | {name: value}))
        return value

    def settled(self, name: str) -> int | None:
        """Return what the plan's file says of ``name``, once it does.

        Raises:
            UsageError: no count; the plan may have been edited, or be somebody else's.
        """
        value: int | None = read_plan(self._plan_file).get(name)
        if value is not None:
            with naming(self._plan_file):
                check_range(option_name(name), value, 1)
        return value

    def note_copied(self, file: Path) -> None:
        """Let a file of the run, copied from elsewhere in this session, count as no work done."""
        self._copied.add(file.name)

    def begun_by(self) -> str:
        """The command of bneck that began the run, such as "derive"; "" if unknown."""
        return next((one.bneck_command() for one in self.read_sessions()), "")

    def check_single(self) -> None:
        """Raise UsageError for a reproduction, whose networks are those of its stages' runs."""
        if self.begun_by() == "reproduce":
            raise UsageError(
                f"{self.folder} holds a run of `bneck reproduce`: name the folder of one of its "
                "stages, such as search-paper or netadapt/1x"
            )

    @contextmanager
    def end_noted(self) -> Iterator[None]:
        """Write down that the command ended, once the block has; nothing says so before."""
        self.ended.unlink(missing_ok=True)
        yield
        write_json(self.ended, {"ended": datetime.now(UTC).isoformat(timespec="seconds")})

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: object, *__: object) -> None:
        if self._is_new and isinstance(error, BneckError | OSError):
            self._forget()
        if isinstance(error, UsageError | KeyboardInterrupt):
            self.plan_change.take_back()
        self.close()

    def _refuse_other_command(self, this: MadeWith) -> None:
        """Raise UsageError if another command or script began it: all its options differ then."""
        now = this.bneck_command()
        for first in self.read_sessions()[:1]:
            began = first.bneck_command()
            if now not in ("", began):
                of = f"bneck {began}" if began else f"{first.command:.60}"
                raise UsageError(
                    f"{self.folder} holds a run of `{of}`, not of `bneck {now}`; use another --out"
                )

    def _forget(self) -> None:
        """Remove a run that failed at once: the corrected command must not be another plan's."""
        names = {path.name for path in self.folder.iterdir()}
        if names <= BEGINNING | self._copied | {*SHOWN}:
            for name in names - {LEASE}:
                (self.folder / name).unlink()
            self.close()
            if self._made_folder:
                with suppress(OSError):  # another driver has begun a run in it
                    self.folder.rmdir()

    def read_state(self) -> str:
        """Return "finished", where the last command ended, "running" or "stopped"."""
        if is_written(self.result) or is_written(self.ended):
            return "finished"
        return "running" if self._lock is not None or is_held(self.folder) else "stopped"

    def read_seconds(self) -> dict[str, float]:
        """Return the seconds of each stage so far; of none where nothing is known.

        Raises:
            UsageError: the file makes no sense.
        """
        return records.read_if_written(self.seconds, dict[str, float]) or {}

    def read_sessions(self) -> tuple[MadeWith, ...]:
        """Return every time the run was begun or resumed, oldest first."""
        return records.read_lines(self._sessions_file, MadeWith)
