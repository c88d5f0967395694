"""Another machine over the system's own ssh: an sshd on the loopback plays it."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_session
from bneck.errors import BneckError, UsageError
from bneck.latency.device_load import QUIET
from bneck.latency.devices import Graph, open_device, remote
from bneck.latency.devices.ssh import SshDevice
from bneck.latency.measure import measure, reference
from bneck.latency.runtimes.weights import norm_free
from bneck.latency.timing import Effort
from bneck.space import presets
from tests.command_line import said

SMALL = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=10)
LARGE = presets.build("mobilenet_v3_large", resolution_px=64, classes=10)
SHORT = Effort(wanted=1.0, min_pairs=2, max_pairs=2)
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def listening_sshd(folder: Path) -> tuple[subprocess.Popen, int]:
    """An sshd with the keys of ``folder``, and its port: another one where that was just taken."""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/key.pub\nStrictModes no\nPidFile none\n"
        )
        sshd = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config")])
        while sshd.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return sshd, port
            time.sleep(0.1)
    pytest.fail("sshd does not start")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """USER@127.0.0.1:PORT of an sshd that lets this test in."""
    if not Path(SSHD).exists() or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH client and server here")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    sshd, port = listening_sshd(folder)
    wrapper = folder / "bin" / "ssh"
    wrapper.parent.mkdir()
    host_key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    wrapper.write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh')} -F /dev/null -i {folder}/key "
        f'-o UserKnownHostsFile="${{KNOWN:-{folder}/known}}" "$@"\n'
    )
    wrapper.chmod(0o755)
    path, os.environ["PATH"] = os.environ["PATH"], f"{wrapper.parent}:{os.environ['PATH']}"
    try:
        yield f"{getpass.getuser()}@127.0.0.1:{port}"
    finally:
        os.environ["PATH"] = path
        sshd.terminate()
        sshd.wait()


@pytest.fixture
def device(server: str) -> Iterator[SshDevice]:
    found = open_device(f"ssh:{server}{sys.executable}")
    assert isinstance(found, SshDevice)
    yield found
    found.close()


def test_it_says_what_it_is(device: SshDevice) -> None:
    assert device.fingerprint() == open_device().fingerprint()
    options = {"threads": 2, "batch_size": 3}
    device = open_device(device.word, **options)
    assert device.fingerprint() == open_device(**options).fingerprint()
    device.close()


def test_a_network_takes_there_what_it_takes_here(device: SshDevice) -> None:
    """Ratios, to the noise of two measurements on a busy machine."""
    here, there = (measure(LARGE, one, wanted=0.1) for one in (open_device(), device))
    assert here.timing is not None
    assert there.timing is not None
    assert there.timing.ratio == pytest.approx(here.timing.ratio, rel=0.4)
    assert not there.predicted


def test_a_networks_own_weights_are_sent(device: SshDevice) -> None:
    graph = Graph(*norm_free(SMALL.layers()))
    ((timing, seconds),) = device.time([graph], reference(32, 10), SHORT)
    assert 0.05 < timing.ratio < 20
    assert seconds > 0


def test_what_keeps_the_board_busy_is_said(device: SshDevice) -> None:
    """It is the board's own count that is told, while it measures: here of this machine."""
    program = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        watch = device.watch()
        assert watch() == QUIET  # nothing was measured yet
        idle = device.watch_idle()
        for _ in range(3):
            list(device.time([Graph(LARGE.layers())], reference(64, 10), Effort(0.0, 8, 8)))
        load, meanwhile = watch(), idle()
    finally:
        program.kill()
        program.wait()
    assert load.other_cores > 0.3
    assert meanwhile.other_cores > 0.3
    assert device.watch()() == QUIET


@pytest.mark.parametrize(
    ("most_cuts", "networks"), [(1, 10), pytest.param(10, 30, marks=pytest.mark.slow)]
)
def test_cut_off_it_loses_nothing(
    device: SshDevice, monkeypatch: pytest.MonkeyPatch, most_cuts: int, networks: int
) -> None:
    monkeypatch.setattr(remote, "WAIT_S", 0.01)
    monkeypatch.setattr(remote, "TRIES", 100)
    device.fingerprint()
    cuts, done = [0], threading.Event()

    def cut() -> None:
        while cuts[0] < most_cuts and not done.is_set():
            process = device._process
            if process is not None and process.poll() is None:
                process.kill()
                cuts[0] += 1
            time.sleep(0.4)

    thread = threading.Thread(target=cut)
    thread.start()
    graphs = [Graph(SMALL.layers()) for _ in range(networks)]
    found = list(device.time(graphs, reference(32, 10), Effort(0.5, 4, 4)))
    done.set()
    thread.join()
    assert len(found) == networks
    assert cuts[0] >= min(3, most_cuts)


def test_a_host_that_is_gone_is_one_line(
    device: SshDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT_S", 0.001)
    times = device.time([Graph(SMALL.layers())] * 2, reference(32, 10), SHORT)
    next(times)
    device.close()
    device._connection = None
    device.port = "1"
    with pytest.raises(BneckError, match=r"cannot be reached any more: .*refused; run the same"):
        next(times)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("python", "/no/such/python"), "there is no /no/such/python"),
        (("host", "nobody_at_all@127.0.0.1"), "it refuses the key"),
        (("port", "1"), "cannot be reached: .*refused"),
    ],
)
def test_what_is_wrong_there_is_one_line(
    device: SshDevice, change: tuple[str, str], message: str
) -> None:
    setattr(device, *change)
    with pytest.raises(BneckError, match=message) as raised:
        device.fingerprint()
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)


def test_an_unknown_host_key_is_one_line(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", "/dev/null")
    found = open_device(f"ssh:{server}{sys.executable}")
    with pytest.raises(BneckError, match="its host key is unknown or has changed"):
        found.fingerprint()


def test_a_missing_package_names_its_install_line(device: SshDevice, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    device.python = str(python)
    with pytest.raises(BneckError, match="pip install numpy onnxruntime"):
        device.fingerprint()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ssh that runs commands here, after the shell script of a login: this file.

    Its ``$0.calls`` holds a line for each connection.
    """
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\necho >> "$0.calls"\n'
        'calls=$(wc -l < "$0.calls")\n. "$0.login"\nexec sh -c "exec $3"\n'
    )
    ssh.chmod(0o755)
    login = tmp_path / "bin" / "ssh.login"
    login.touch()
    monkeypatch.setenv("PATH", str(ssh.parent), prepend=":")
    monkeypatch.setattr(remote, "WAIT_S", 0.01)
    return login


LOCALE = "echo 'bash: warning: setlocale: LC_ALL: cannot change locale: No such file or directory'"


@pytest.mark.parametrize(
    "login",
    [
        "echo Welcome to raspberrypi!; echo '[1]'",
        r"printf '\033]0;pi@raspberrypi\007'",
        f"{LOCALE} >&2",
        "[ $calls != 2 ] || { echo 'ssh: Could not resolve hostname pi.local' >&2; exit 255; }",
        "[ $calls != 2 ] || { echo 'pi: Permission denied (publickey).' >&2; exit 255; }",
        "[ $calls != 2 ] || exit 127",
    ],
)
def test_what_a_login_prints_and_a_board_that_starts_again_end_nothing(
    board: Path, login: str
) -> None:
    """A message of the locale was taken for that of a shell without python."""
    board.write_text(login + "\n")
    device = open_device(f"ssh:pi{sys.executable}")
    assert isinstance(device, SshDevice)
    times = device.time([Graph(SMALL.layers())] * 2, reference(32, 10), SHORT)
    next(times)
    assert device._process is not None
    device._process.kill()
    assert 0.05 < next(times)[0].ratio < 20
    device.close()


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (f"{LOCALE} >&2; echo 'Connection reset' >&2; exit 255", "be reached: Connection reset$"),
        ("echo This account is not available.; exit 1", "This account is not available.$"),
        ("exit 132", "python ended there with exit code 132$"),
        ("exit 126", "cannot be used: .*python cannot be run there$"),
        ("exit 255", "be reached: the connection was cut$"),
    ],
)
def test_why_a_board_cannot_be_reached_is_what_it_said(
    board: Path, login: str, message: str
) -> None:
    board.write_text(login + "\n")
    with pytest.raises(BneckError, match=message):
        open_device(f"ssh:pi{sys.executable}").fingerprint()


@pytest.mark.parametrize("command", [("derive",), ("search",), ("shrink", "mobilenet_v3_small")])
def test_a_board_that_cannot_be_reached_is_told_before_images_are_read(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    board.write_text("echo 'pi@board: Permission denied (publickey).' >&2; exit 255\n")
    asked = (*command, "--target=2", "--target-device=ssh:pi", f"--out={tmp_path / 'run'}")
    code, out, err = said(capsys, *asked)
    assert (code, out) == (1, "")
    assert "bneck: ssh:pi cannot be used: it refuses the key: check `ssh-copy-id pi`\n" in err
    assert "images" not in err


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_the_connection_ends_with_the_run(
    board: Path, tmp_path: Path, error: type[BaseException] | None
) -> None:
    """In a notebook, where the process goes on: also after an error, whose traceback is kept."""
    plan = Plan(target="1", target_device=f"ssh:pi{sys.executable}")
    with (
        suppress(KeyboardInterrupt),
        open_session(plan, tmp_path / "run", Execution(workers=1)) as session,
    ):
        device = session.target_device()
        assert device.fingerprint() == open_device().fingerprint()
        assert isinstance(device, SshDevice)
        assert (program := device._process) is not None
        if error is not None:
            raise error
    assert program.returncode is not None
    assert board.with_name("ssh.calls").read_text() == "\n"  # one connection


@pytest.mark.parametrize("word", ["ssh:", "ssh:-oProxyCommand=x", "ssh:a b", "ssh:host:port"])
def test_words_that_are_not_hosts(word: str) -> None:
    with pytest.raises(UsageError, match=r"expected ssh:USER@HOST\[:PORT\]\[/PYTHON\], got ssh:"):
        open_device(word)


def test_runtimes_of_this_machine_alone() -> None:
    with pytest.raises(UsageError, match="'torch' runs on this machine only; on other devices"):
        open_device("ssh:pi@board", runtime="torch")
