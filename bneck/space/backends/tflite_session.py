"""LiteRT interpreters, opened in one way by whoever runs a file."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter


def open_interpreter(model: bytes | Path, *, threads: int = 1) -> Interpreter:
    """Open an interpreter on the CPU, ready to be fed and invoked.

    Raises:
        ValueError: not a LiteRT model.
        RuntimeError: a model that the runtime cannot run.
    """
    source = {"model_path": str(model)} if isinstance(model, Path) else {"model_content": model}
    with silent():
        interpreter = Interpreter(num_threads=threads, **source)
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def silent() -> Iterator[None]:
    """Keep from the user what LiteRT's libraries write to stdout and stderr, also past Python."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = {handle: os.dup(handle) for handle in (1, 2)}
    try:
        for handle in kept:
            os.dup2(nowhere, handle)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for handle, before in kept.items():
            os.dup2(before, handle)
            os.close(before)
        os.close(nowhere)
