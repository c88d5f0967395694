"""Images whose loading is killed."""

import signal
import subprocess
import sys


def kill_loading(data: str, resolution_px: int, at: str, *, made_small: str) -> None:
    """Load images in a process that is killed once 32 of them are through a step.

    Args:
        data: names the images.
        resolution_px: their side.
        at: the step, as it is shown.
        made_small: a module of squares, and what of it is made small: "from_folder.CHUNK = 16".
    """
    script = (
        "import os, signal\n"
        f"from bneck.proxies.data.squares import {made_small.partition('.')[0]}\n"
        f"{made_small}\n"
        "from bneck.proxies.data.loading import load\n"
        "def progress(what, done, total, note=''):\n"
        f"    if what == {at!r} and done >= 32: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"load({data!r}, resolution_px={resolution_px}, progress=progress)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
