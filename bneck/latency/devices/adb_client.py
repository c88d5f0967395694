"""A phone by the system's own ``adb``: commands and files, tried again where it does not answer."""

import re
import subprocess
import time
from pathlib import Path

from bneck.errors import BneckError, UsageError

TRIES, WAIT_S = 3, 5.0
SECONDS = 120
"""Time limit of a call of adb, which then counts as lost."""
LOST = ("not found", "no devices", "offline", "closed", "cannot connect", "protocol fault")
ENDED = re.compile(r"exit=(\d+)\s*$")


class Lost(Exception):
    """The phone does not answer; ``args`` say why."""


class AdbClient:
    """One phone."""

    def __init__(self, word: str, serial: str) -> None:
        """Reach nothing yet.

        Args:
            word: what errors call the phone.
            serial: its serial number; "" for the only one.
        """
        self.word, self.serial = word, serial

    def find(self) -> None:
        """Take the phone that was asked for, or the only one there is.

        Raises:
            UsageError: there are several.
            BneckError: it is not connected, or does not allow debugging.
        """
        lines = self._adb("devices", serial="")[1].split("\n")[1:]
        phones = dict(line.split("\t", 1) for line in lines if "\t" in line)
        if self.serial and self.serial not in phones:
            known = ", ".join(phones) or "none"
            raise BneckError(f"no phone {self.serial!r} is connected; connected: {known}")
        if not phones:
            raise BneckError("no phone is connected: `adb devices` lists none")
        if not self.serial and len(phones) > 1:
            raise UsageError(
                f"{len(phones)} phones are connected: name one, as adb:{next(iter(phones))}; "
                f"connected: {', '.join(phones)}"
            )
        serial = self.serial or next(iter(phones))
        state = phones[serial]
        if "unauthorized" in state:
            raise BneckError(f"{serial} does not allow debugging yet: confirm it on its screen")
        if state != "device":
            raise BneckError(f"{serial} is connected and cannot be used: adb calls it {state:.200}")
        self.serial = serial

    def shell(self, command: str) -> str:
        """Run a command on the phone and return what it prints, whether it fails or not.

        Raises:
            BneckError: the phone cannot be reached.
        """
        return self.run(command)[1]

    def run(self, command: str) -> tuple[int, str]:
        """Run a command on the phone and return its exit code and what it prints.

        Raises:
            BneckError: the phone cannot be reached.
        """
        _, said = self._adb("shell", f"{command}; echo exit=$?", whole=ENDED)
        found = ENDED.search(said)
        assert found is not None
        return int(found[1]), said[: found.start()]

    def push(self, file: Path, path: str) -> None:
        """Copy a file to the phone, whole or not at all.

        Raises:
            BneckError: its storage is full or refuses the file, or it cannot be reached.
        """
        self.shell(f"mkdir -p {path.rpartition('/')[0]}")
        said = ""
        for _ in range(TRIES):
            code, said = self._adb("push", str(file), path)
            if not code:
                return
            self.shell(f"rm -f {path}")  # what of it is there; one that was unplugged is said here
            if "No space left" in said:
                raise BneckError(f"{self.word}: the phone's storage is full: {said.strip():.200}")
        raise BneckError(f"{self.word}: the phone does not take a file: {said.strip():.200}")

    def _adb(
        self, *arguments: str, serial: str | None = None, whole: re.Pattern[str] | None = None
    ) -> tuple[int, str]:
        """Return adb's exit code and what it said; tried again where the phone does not answer.

        Args:
            arguments: what comes behind ``adb -s SERIAL``.
            serial: of the phone; None takes this one's.
            whole: what the answer of a phone that was not unplugged holds.

        Raises:
            BneckError: it still does not.
        """
        serial = self.serial if serial is None else serial
        to = ("-s", serial) if serial else ()
        for attempt in range(TRIES):
            if attempt:
                time.sleep(WAIT_S)
            try:
                code, said = _called("adb", *to, *arguments)
                if whole is None or whole.search(said):
                    return code, said
                reason = said.strip().split("\n")[-1] or "it was unplugged"
            except Lost as lost:
                reason = str(lost)
        raise BneckError(
            f"{self.word} cannot be reached: {reason}; plug it in and run the same command to "
            "resume"
        )


def _called(*command: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            start_new_session=True,  # Ctrl-C is the driver's
        )
    except subprocess.TimeoutExpired:
        raise Lost(f"no answer within {SECONDS} s") from None
    said, errors = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if done.returncode and any(words in errors for words in LOST):
        raise Lost(errors.strip().split("\n")[-1])
    return done.returncode, (said + errors if done.returncode else said).replace("\r", "")
