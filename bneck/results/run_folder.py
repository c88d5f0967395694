"""What a run's folder may hold: a plan, and no links or devices that somebody else put there."""

import os
from pathlib import Path

from bneck.errors import UsageError, cannot
from bneck.path_checks import check_no_link

PLAN = "plan.toml"


def is_run(folder: str | Path) -> bool:
    """Return whether a run was begun in ``folder``."""
    return Path(folder, PLAN).is_file()


def make_folder(folder: Path) -> None:
    """Make the folder where there is none; raise UsageError where it holds something else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder} is not a folder; name another --out") from None
    except OSError as error:
        raise cannot("write", folder, error) from error
    if names and PLAN not in names:
        raise UsageError(
            f"{folder} is not a run's folder: it has no {PLAN} but {names[0]!r}; "
            "name a new or an empty folder as --out"
        )


def check_files(folder: Path, *, links: bool = True) -> None:
    """Raise UsageError for what is neither a file nor a folder: reading a pipe may never end.

    Without ``links``, also for a symbolic link: what it names would be written to.
    """
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            if not links:
                check_no_link(path, of="a run")
            if path.exists() and not path.is_file() and not path.is_dir():
                raise UsageError(
                    f"{path} is neither a file nor a folder, and has no place in a run"
                )
