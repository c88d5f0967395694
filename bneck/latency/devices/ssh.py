"""``ssh:USER@HOST[:PORT][/PYTHON]``: a board or server that the system's own ``ssh`` reaches.

It needs Python 3.9 or later, numpy and the runtime. Nothing is written to its disk: the script and
the networks go through the connection.
"""

import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from typing import IO

from bneck.errors import BneckError, UsageError
from bneck.latency.devices.remote import Connection, Cut, RemoteDevice, script

PATTERN = re.compile(
    r"(?P<host>(?:[\w.-]+@)?(?:[\w.-]+|\[[0-9a-fA-F:]+\]))(?::(?P<port>\d{1,5}))?(?P<python>/\S+)?"
)
OPTIONS = (
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
START = (
    "import sys; s = {'__name__': 'measure', '__file__': 'measure.py'}; "
    "exec(sys.stdin.buffer.read(%d), s); s['serve'](sys.stdin.buffer)"
)
FINAL = {
    "Permission denied": "it refuses the key: check `ssh-copy-id {host}`",
    "Host key verification failed": "its host key is unknown or has changed: connect once by "
    "`ssh {host}` and check it",
    "not found": "there is no {python}: name the interpreter as ssh:USER@HOST/PATH/TO/python",
    "No such file or directory": "there is no {python}: name the interpreter as "
    "ssh:USER@HOST/PATH/TO/python",
    "Could not resolve hostname": "there is no host of that name",
}
"""What ssh or the device says where trying again would not help -> how to put it right."""


class SshDevice(RemoteDevice):
    """Another machine, with one of PORTABLE runtimes."""

    def __init__(self, name: str, *, runtime: str, threads: int, batch_size: int) -> None:
        found = PATTERN.fullmatch(name)
        if not found or name.startswith("-"):
            raise UsageError(f"expected ssh:USER@HOST[:PORT][/PYTHON], got ssh:{name}")
        if shutil.which("ssh") is None:
            raise UsageError("there is no ssh on this machine")
        super().__init__(runtime=runtime, threads=threads, batch_size=batch_size)
        self.word = f"ssh:{name}"
        self.host = found["host"].replace("[", "").replace("]", "")
        self.port = found["port"]
        self.python = found["python"] or "python3"
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def connect(self) -> Connection:
        source = script()
        port = ("-p", self.port) if self.port else ()
        remote = f'{self.python} -u -c "{START % len(source)}"'
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (it outlives this call)
        self._process = subprocess.Popen(
            ["ssh", *OPTIONS, *port, "--", self.host, remote],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is the driver's
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        connection = Connection(self._process.stdin, self._process.stdout)
        try:
            self._process.stdin.write(source)
            self._process.stdin.flush()
        except OSError as error:
            raise Cut(str(error)) from None
        return connection

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._errors):
                with suppress(OSError):  # what was not sent cannot be sent any more
                    if pipe is not None:
                        pipe.close()
            self._process = self._errors = None

    def last_words(self) -> str:
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                return ""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        for words, cure in FINAL.items():
            if any(words in line for line in lines):
                said = cure.format(host=self.host, python=self.python)
                raise BneckError(f"{self.word} cannot be used: {said}")
        return lines[-1] if lines else ""
