"""What a user names is imported; what a file names never is."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bneck import records
from bneck.errors import UsageError
from bneck.imports import Untrusted, load_object
from bneck.latency.runtimes import open_runtime
from bneck.proxies.proxy import find_proxy
from bneck.results.provenance import MadeWith
from bneck.results.run import Run
from bneck.search import samplers
from bneck.space import spaces

PAYLOAD = "open('PWNED', 'w').close()\nclass Macs: pass\n"


def test_what_is_named_is_imported() -> None:
    assert load_object("proxy", "pathlib:Path", ["zen"]) is Path
    assert load_object("proxy", "path", {"path": "pathlib:Path"}) is Path
    with pytest.raises(UsageError, match=r"unknown proxy 'zenn'; known: zen, package\.module:attr"):
        load_object("proxy", "zenn", ["zen"])
    with pytest.raises(UsageError, match=r"cannot load proxy 'no\.such:thing': No module"):
        load_object("proxy", "no.such:thing")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def wrong(:", r"SyntaxError: invalid syntax \(own_broken.py, line 1\)"),
        ("wrong", "NameError: name 'wrong' is not defined"),
        ("open('none.csv')", r"FileNotFoundError: .*'none\.csv'"),
    ],
)
def test_a_module_that_raises_an_error_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    (tmp_path / "own_broken.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=f"cannot load proxy 'own_broken:Own': {said}"):
        load_object("proxy", "own_broken:Own")


def test_what_cannot_be_called_as_its_kind_is_is_refused() -> None:
    finders: dict[str, Callable[[str], object]] = {
        "space": spaces.load_own,
        "runtime": open_runtime,
        "sampler": samplers.find,
        "proxy": find_proxy,
    }
    for kind, find in finders.items():
        with pytest.raises(UsageError, match=f"{kind} 'os:getcwd' cannot be called as a {kind} is"):
            find("os:getcwd")
    with pytest.raises(UsageError, match="'builtins:dict' must be a Runtime, got a dict"):
        open_runtime("builtins:dict")


def said_without(libraries: list[str], commands: list[list[str]]) -> list[str]:
    """The lines that a process without some libraries says to commands one after the other."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({libraries}))\n"
        f"from bneck.cli import run\nfor command in {commands}: run(command)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_a_missing_library_is_called_by_its_extra() -> None:
    measure = ["latency", "mobilenet_v1", "--measure", "--runtime"]
    first, second = said_without(
        ["openvino", "ai_edge_litert"], [[*measure, "openvino"], [*measure, "litert"]]
    )
    assert first.endswith("; pip install 'bneck[openvino]'")
    assert second.endswith("; pip install 'bneck[litert]'")


def test_a_missing_library_of_an_export_is_named_before_images_are_looked_for() -> None:
    export = ["export", "mobilenet_v1"]
    first, second = said_without(
        ["executorch", "ai_edge_quantizer"],
        [[*export, "x.tflite", "--to", "tflite-int8"], [*export, "x.pte", "--to", "executorch"]],
    )
    assert first.startswith("bneck: cannot load export format 'tflite-int8': ")
    assert first.endswith("; pip install 'bneck[litert]'")
    assert second.startswith("bneck: cannot load export format 'executorch': ")
    assert second.endswith("; pip install 'bneck[executorch]'")


def test_no_library_writes_home_or_complains_that_it_cannot(tmp_path: Path) -> None:
    """Importing ONNX Runtime would leave an identifier there, and matplotlib wants a cache."""
    command = [
        *(sys.executable, "-m", "bneck.cli", "likeness", "mobilenet_v3_small"),
        *("--space=v3-small", "--latency=macs", "--networks=10", f"--out={tmp_path / 'out'}"),
    ]
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    decided = ("ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    rest = {name: value for name, value in os.environ.items() if name not in decided}
    for home, asked in (
        ("file", command),
        ("file", [sys.executable, "-c", "import bneck, onnxruntime"]),
        ("folder", [sys.executable, "-c", "import bneck, onnxruntime"]),
    ):
        environment = rest | {"HOME": str(tmp_path / home)}
        done = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment)
        assert done.stderr == ""
    assert (tmp_path / "out" / "likeness.svg").exists()
    assert [*(tmp_path / "folder").iterdir()] == []


def test_what_a_file_names_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "payload.py").write_text(PAYLOAD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"a file names the runtime 'payload:Macs'.*--runtime"):
        load_object("runtime", Untrusted("payload:Macs"), {"macs": "x:y"})
    assert not (tmp_path / "PWNED").exists()
    assert load_object("path", Untrusted("path"), {"path": "pathlib:Path"}) is Path


def test_all_text_of_records_and_plans_is_untrusted(tmp_path: Path) -> None:
    value = {
        "started": "2026", "command": "x", "device": "y", "cores": 2, "versions": {"a": "b"},
    }  # fmt: skip
    read = records.from_json(MadeWith, value)
    assert all(isinstance(text, Untrusted) for text in (read.device, *read.versions.values()))
    Run.open(tmp_path, {"proxy": "payload:Proxy", "seed": 0}).close()
    assert isinstance(Run.read(tmp_path).plan["proxy"], Untrusted)


@pytest.mark.parametrize(
    "start", [["-c", "from bneck.cli import main; main()"], ["-m", "bneck.cli"]]
)
def test_the_working_directory_is_not_searched(tmp_path: Path, start: list[str]) -> None:
    """A folder may hold a file that is called like a library."""
    (tmp_path / "typer.py").write_text(PAYLOAD)
    (tmp_path / "rich.py").write_text(PAYLOAD)
    ended = subprocess.run(
        [sys.executable, *start, "--version"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not (tmp_path / "PWNED").exists()
