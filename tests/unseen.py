"""A folder that this process may not look into, as one of another user's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unseen(folder: Path) -> Iterator[None]:
    """Let nothing in ``folder`` be seen inside the block, also where the tests run as root."""
    root = os.geteuid() == 0
    folder.chmod(0)
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o700)
