"""Decodes chunks of files into a file of squares: in this process, or as a process of its own.

As a process it reads one JSON object a line on stdin and answers each with one on stdout: first a
``Job``, then chunks. It ends when stdin does, so it never outlives its driver.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from bneck.errors import UsageError
from bneck.proxies.data.decoding import NotAnImage, NoWhite, any_size, square

CHUNK = 64
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Job:
    """What all chunks have in common.

    Attributes:
        root: the set's folder.
        squares: the file to fill, raw uint8 (N, side, side, 3).
        side_px: side of the squares.
        white: as ``decoding.square`` takes it.
    """

    root: str
    squares: str
    side_px: int
    white: Mapping[str, int]


def decode_chunk(job: Job, start: int, files: Sequence[str]) -> dict[str, Any]:
    """Decode files into the squares of a job, one after the other.

    Args:
        job: the folder, the file to fill and how to decode.
        start: number of the first file's square.
        files: paths below the job's folder.

    Returns:
        ``start``, ``digests`` (hexadecimal, of each square's pixels), ``bad`` (a pair of number
        and reason for each file that cannot be used, whose square stays black), ``white`` (the
        job's) and ``deep``: whether one of these needs a white that the job lacks.

    Raises:
        UsageError: the system does not let a file be read.
        OSError: the squares cannot be written.
    """
    digests, bad, deep = [], [], False
    with any_size(), open(job.squares, "r+b") as file:
        file.seek(start * 3 * job.side_px**2)
        for row, name in enumerate(files, start):
            try:
                pixels = square(os.path.join(job.root, name), job.side_px, job.white)
            except NotAnImage as error:
                pixels = np.zeros((job.side_px, job.side_px, 3), np.uint8)
                bad.append((row, str(error)))
                deep |= isinstance(error, NoWhite)
            digests.append(digest(pixels))
            file.write(pixels.data)
    answer = {"start": start, "digests": b"".join(digests).hex(), "bad": bad, "deep": deep}
    return answer | {"white": dict(job.white)}


def digest(pixels: "np.typing.NDArray[np.uint8]") -> bytes:
    """16 bytes that tell pictures of the same pixels."""
    return blake2b(np.ascontiguousarray(pixels).data, digest_size=DIGEST_BYTES).digest()


def as_line(value: object) -> bytes:
    """JSON in one line; names of files that are not UTF-8 survive."""
    return json.dumps(value).encode() + b"\n"


def main() -> None:
    """Serve chunks until stdin ends; where the driver was killed, in the middle of a line."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints is not an answer
    job: Job | None = None
    for line in sys.stdin.buffer:
        if not line.endswith(b"\n"):
            return
        told = json.loads(line)
        if job is None:
            job = Job(**told)
            continue
        try:
            answers.write(as_line(_answer(job, told)))
            answers.flush()
        except BrokenPipeError:  # the driver is gone; to close the file would say so again
            os._exit(1)


def _answer(job: Job, chunk: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return decode_chunk(job, chunk["start"], chunk["files"])
    except OSError as error:
        return {"error": error.strerror or str(error)}
    except UsageError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    main()
