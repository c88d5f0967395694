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
from bneck.latency.devices.remote import Connection, RemoteDevice, script

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
FAILED = 255
"""Exit code of ssh where it fails itself; others are the device's."""
NO_PROGRAM = {
    126: "{python} cannot be run there",
    127: "there is no {python}: name the interpreter as ssh:USER@HOST/PATH/TO/python",
}
"""Exit code of the device's shell -> how to put it right."""
REFUSALS = {
    "Permission denied (": "it refuses the key: check `ssh-copy-id {host}`",
    "Host key verification failed": "its host key is unknown or has changed: connect once by "
    "`ssh {host}` and check it",
    "Could not resolve hostname": "there is no host of that name",
}
"""What ssh says where trying again would not help -> how to put it right."""


class SshDevice(RemoteDevice):
    """Another machine, with one of PORTABLE runtimes."""

    def __init__(self, name: str, *, runtime: str, threads: int, batch_size: int) -> None:
        found = PATTERN.fullmatch(name)
        if not found or name.startswith("-"):
            raise UsageError(f"expected ssh:USER@HOST[:PORT][/PYTHON], got ssh:{name}")
        super().__init__(runtime=runtime, threads=threads, batch_size=batch_size)
        if shutil.which("ssh") is None:
            raise UsageError("there is no ssh on this machine")
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
        with suppress(OSError):  # where it has ended, so will the first answer
            self._process.stdin.write(source)
            self._process.stdin.flush()
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

    def last_words(self, printed: str) -> str:
        if self._process is None or self._errors is None:  # which were looked at before
            return printed
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return printed
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        if self._about is None:  # once it has answered, whatever it is will pass: it may be booting
            cure = NO_PROGRAM.get(code)
            if code == FAILED:
                said = "\n".join(lines)
                cure = next((cure for words, cure in REFUSALS.items() if words in said), None)
            if cure is not None:
                cure = cure.format(host=self.host, python=self.python)
                raise BneckError(f"{self.word} cannot be used: {cure}")
        if lines or printed or code == FAILED:
            return lines[-1] if lines else printed
        return f"{self.python} ended there with exit code {code}"
