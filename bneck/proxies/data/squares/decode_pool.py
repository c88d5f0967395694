"""Decoding by all cores: processes of ``decode_worker``, each fed by a thread."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any

from bneck.errors import BneckError, UsageError
from bneck.machine import cores
from bneck.proxies.data.squares.decode_worker import Job, as_line, decode_chunk

MIN_CHUNKS = 8
"""Fewer chunks are decoded sooner than processes start."""

Chunk = tuple[int, list[str]]
Answer = tuple[bytes, dict[str, Any]]
"""A chunk's answer, as the line that keeps it and as a value."""


def decoded_chunks(job: Job, chunks: Iterable[Chunk], count: int) -> Iterator[Answer]:
    """Yield the answer to each chunk, as it is done.

    Args:
        job: what to fill.
        chunks: (number of the first square, files).
        count: how many chunks there are.

    Raises:
        UsageError: the system does not let a file be read.
        BneckError: a process ended, as on a decoder's crash or where memory is short.
        OSError: the squares cannot be written.
    """
    workers = min(cores(), count // MIN_CHUNKS)
    if workers < 2:
        for start, files in chunks:
            answer = decode_chunk(job, start, files)
            yield as_line(answer), answer
        return
    crew = [_start(job) for _ in range(workers)]
    idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
    for process in crew:
        idle.put(process)
    threads = ThreadPoolExecutor(workers)
    try:
        waiting: set[Future[Answer]] = set()
        for chunk in chunks:
            waiting.add(threads.submit(_ask, idle, chunk))
            if len(waiting) > 2 * workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in done)
    finally:
        for process in crew:
            process.kill()
        threads.shutdown(cancel_futures=True)
        for process in crew:
            process.communicate()


def _start(job: Job) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bneck.proxies.data.squares.decode_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C and a closed terminal reach the driver alone
    )
    assert process.stdin is not None
    process.stdin.write(as_line(asdict(job)))
    return process


def _ask(idle: "SimpleQueue[subprocess.Popen[bytes]]", chunk: Chunk) -> Answer:
    process = idle.get()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        start, files = chunk
        try:
            process.stdin.write(as_line({"start": start, "files": files}))
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise BneckError(
                f"a process that decodes images ended (exit code {process.poll()}) at one of "
                f"{files[0]} to {files[-1]}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(answer["error"])
        if "refused" in answer:
            raise UsageError(answer["refused"])
        return line, answer
    finally:
        idle.put(process)
