"""A kit as it is written, resumed, added to and refused."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from bneck.cli import run
from bneck.errors import BneckError, UsageError
from bneck.latency import kit
from bneck.latency.kit import add_to_kit, write_kit
from bneck.latency.kit_content import read_kit
from bneck.latency.kit_measurements import measured_by_kit, read_measurements
from bneck.space import codec, presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost


@pytest.fixture
def space_of_two(monkeypatch: pytest.MonkeyPatch) -> Space:
    """A space of which a kit holds two networks."""
    monkeypatch.setattr(kit, "NETWORKS", 2)
    return spaces.build("v3-small", resolution_px=32, classes=10)


def test_a_kit_has_one_reference_and_so_one_side_and_class_count(tmp_path: Path) -> None:
    for other in ({"resolution_px": 64}, {"classes": 4}):
        both = [
            spaces.build("v3-small", **{"resolution_px": 32, "classes": 3, **changed})
            for changed in ({}, other)
        ]
        with pytest.raises(UsageError, match=r"needs spaces of one (input side|class count), got"):
            write_kit(both, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_nothing_is_written_through_a_link_that_somebody_elses_kit_holds(
    tmp_path: Path, space_of_two: Space
) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "kit"
    elsewhere.mkdir()
    write_kit([space_of_two], folder)
    (folder / "networks").rename(tmp_path / "moved")
    (folder / "networks").symlink_to(elsewhere)
    arch = space_of_two.decode(space_of_two.sample(0))
    for write in (
        lambda: write_kit([space_of_two], folder),
        lambda: add_to_kit(folder, arch, None, runtime="onnxruntime"),
    ):
        with pytest.raises(UsageError, match="networks is a symbolic link, which a kit does not"):
            write()
    assert list(elsewhere.iterdir()) == []


def test_a_kit_is_small_runs_alone_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "NETWORKS", 6)
    folder = tmp_path / "kit"
    write_kit([spaces.build("v3-small", resolution_px=32, classes=10)], folder)
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert 330 * max(size for name, size in sizes.items() if name.endswith(".z")) < 60e6

    def run(minutes: str) -> list[str]:
        command = [sys.executable, "-I", str(folder / "measure.py"), "--minutes", minutes]
        subprocess.run(command, check=True, capture_output=True)
        items = json.loads((folder / "measurements.json").read_text())["items"]
        return [item["name"] for item in items]

    begun = run("0.0001")
    done = run("2")
    assert len(begun) < len(done) == 7
    assert done[: len(begun)] == begun
    content = json.loads((folder / "measurements.json").read_text())
    assert all(np.isfinite(item["ratio"]) and item["ratio"] > 0 for item in content["items"])
    assert content["device"]["runtime"] == "onnxruntime"
    with pytest.raises(BneckError, match="only 7 networks"):
        read_measurements(folder / "measurements.json")
    with pytest.raises(UsageError, match="holds no kit"):
        write_kit([spaces.build("v3-small", resolution_px=32)], tmp_path)


def macs_in(file: Path) -> tuple[int, list[int]]:
    """Multiply-adds of a network in a kit, by shapes in its ONNX file, and its input's shape."""
    graph = onnx.shape_inference.infer_shapes(
        onnx.load_from_string(zlib.decompress(file.read_bytes()))
    ).graph
    shapes = {
        one.name: [side.dim_value for side in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.value_info, *graph.output)
    }
    sizes = {one.name: np.prod(one.dims[1:]) for one in graph.initializer}
    macs = sum(
        sizes[node.input[1]] * np.prod(shapes[node.output[0]])
        for node in graph.node
        if node.op_type in ("Conv", "Gemm")
    )
    return int(macs), shapes[graph.input[0].name]


def test_each_file_of_a_kit_is_the_network_that_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a calibration would take one network's time for another's."""
    monkeypatch.setattr(kit, "NETWORKS", 6)
    monkeypatch.setattr(kit, "REPEATED_AFTER", 1)
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    write_kit([space], tmp_path, batch_size=2)

    def check(file: str, arch: Architecture) -> int:
        macs, shape = macs_in(tmp_path / "networks" / file)
        assert (macs, shape) == (2 * cost(arch).macs, [2, 3, 32, 32])
        return macs

    networks = json.loads((tmp_path / "kit.json").read_text())["networks"]
    counts = {check(one["file"], codec.from_json(one["arch"])) for one in networks}
    assert len(counts) == len(networks) - 1 == 6  # the held-out one is there twice
    check("reference.z", presets.build("mobilenet_v3_small", resolution_px=32, classes=10))


def test_a_kit_whose_writing_was_interrupted_is_written_again(
    tmp_path: Path, space_of_two: Space
) -> None:
    """Until all of its networks are there it has no kit.json, and so measures nothing."""
    folder, space = tmp_path / "kit", space_of_two

    def interrupt(what: str, done: int, whole: int, *more: object) -> None:
        if done == 1:
            raise KeyboardInterrupt

    def files() -> dict[str, bytes]:
        return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}

    write_kit([space], folder)
    of_it = {"kit": json.loads((folder / "kit.json").read_text())["kit"]}
    (folder / "measurements.json").write_text(json.dumps(of_it))
    whole = files()
    for _ in range(2):  # over a kit, and over one that was interrupted
        with pytest.raises(KeyboardInterrupt):
            write_kit([space], folder, progress=interrupt)
        assert not (folder / "kit.json").exists()
    write_kit([space], folder)
    assert files() == whole
    (folder / "kit.json").unlink()
    with pytest.raises(UsageError, match="holds no kit"):  # which would be another one
        add_to_kit(folder, space.decode(space.sample(0)), None, runtime="onnxruntime")
    (folder / "networks" / "mine.pt").touch()
    with pytest.raises(UsageError, match="holds no kit"):
        write_kit([space], folder)


def test_no_kit_is_written_over_one_that_was_measured(tmp_path: Path, space_of_two: Space) -> None:
    """Its measurements would be refused, here and on the device, as those of another kit."""
    folder, space = tmp_path / "kit", space_of_two
    write_kit([space], folder)
    of_it = {"kit": json.loads((folder / "kit.json").read_text())["kit"]}
    (folder / "measurements.json").write_text(json.dumps(of_it))
    before = (folder / "kit.json").read_bytes()
    for other in ({"seed": 1}, {"batch_size": 2}):
        with pytest.raises(UsageError, match=r"measurements\.json was measured with another kit: "):
            write_kit([space], folder, **other)
    assert (folder / "kit.json").read_bytes() == before
    write_kit([space], folder)
    assert (folder / "kit.json").read_bytes() == before


@pytest.mark.parametrize("name", ["kit.json", "measurements.json"])
def test_a_pipe_in_place_of_a_kits_file_is_not_read(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    read = read_kit if name == "kit.json" else lambda folder: measured_by_kit(folder / name)
    with pytest.raises(UsageError, match=rf"{name} is no regular file"):
        read(tmp_path)


def test_a_kit_that_is_written_again_keeps_the_networks_that_were_added_to_it(
    tmp_path: Path, space_of_two: Space
) -> None:
    """A derivation adds its network once, and would wait for its measurement for ever."""
    folder, space = tmp_path / "kit", space_of_two
    write_kit([space], folder)
    add_to_kit(folder, space.decode(space.sample(0)), None, runtime="onnxruntime")
    with_final = (folder / "kit.json").read_bytes()

    def interrupt(what: str, done: int, whole: int, *more: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_kit([space], folder, progress=interrupt)
    assert (folder / "kit.json").read_bytes() == with_final
    write_kit([space], folder)
    assert (folder / "kit.json").read_bytes() == with_final
    with pytest.raises(UsageError, match="is another kit, which a network was added to: name"):
        write_kit([space], folder, seed=1)
    assert (folder / "kit.json").read_bytes() == with_final


def test_a_second_process_does_not_write_the_same_kit(tmp_path: Path, space_of_two: Space) -> None:
    folder, space = tmp_path / "kit", space_of_two
    refusals = []

    def second(*_: object) -> None:
        if not refusals:
            with pytest.raises(
                UsageError, match=r"another process is at work on .*kit\.json"
            ) as no:
                write_kit([space], folder)
            refusals.append(no)

    write_kit([space], folder, progress=second)
    assert refusals
    write_kit([space], folder)


@pytest.mark.parametrize("runtime", ["torch", "macs"])
def test_a_runtime_of_this_machine_is_refused_before_anything_is_written(
    tmp_path: Path, runtime: str
) -> None:
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    with pytest.raises(UsageError, match=f"'{runtime}' runs on this machine only"):
        write_kit([space], tmp_path / "kit", runtime=runtime)
    assert not (tmp_path / "kit").exists()


def test_a_kit_for_litert_runs_alone(tmp_path: Path, space_of_two: Space) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    folder, space = tmp_path / "kit", space_of_two
    write_kit([space], folder, runtime="litert")
    subprocess.run(
        [sys.executable, "-I", str(folder / "measure.py")], check=True, capture_output=True
    )
    content = json.loads((folder / "measurements.json").read_text())
    assert content["device"]["runtime"] == "litert"
    assert len(content["items"]) == 2


def test_a_held_out_network_stands_there_again_before_the_minutes_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "NETWORKS", 9)
    monkeypatch.setattr(kit, "REPEATED_AFTER", 2)
    write_kit([spaces.build("v3-small", resolution_px=32, classes=10)], tmp_path / "kit")
    content = json.loads((tmp_path / "kit" / "kit.json").read_text())
    names = [item["name"] for item in content["networks"]]
    assert names[4:9] == ["held-out 4", "fit 5", "fit 6", "repeat 4", "fit 7"]
    assert len(names) == 10


def test_the_command_says_what_the_device_has_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packages by their names on PyPI, where LiteRT's is not that of the runtime."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    monkeypatch.setattr(kit, "NETWORKS", 1)
    command = ["latency", "kit", "--runtime=litert", "--resolution=32", "--classes=3"]
    assert run([*command, f"--out={tmp_path / 'kit'}"]) == 0
    assert "(before: `pip install numpy ai-edge-litert`)" in capsys.readouterr().out
