"""Labels say what made them, and those of two kinds of device do not mix unasked."""

import importlib
import platform
import re
import sys
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.validation import check
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.machine import CPU
from bneck.proxies.data.row_order import stratified_order
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.results.record import Record
from bneck.search.evaluation import Evaluate
from bneck.search.label import Label
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_attributes import read_records
from bneck.space.architecture import Architecture
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_int8 import quantised
from bneck.space.backends.torch_model import build
from tests.closed_form import MacsDevice, accuracy
from tests.search.driver import SPACE

CPU_LABEL = {"device": "cpu", "precision": "fp32"}
GPU_LABEL = {"device": "cuda", "precision": "bf16", "card": "NVIDIA H100"}
TASK = Evaluate(WorkerImages("digits", 16, 16, 0, 64, 32), "short-training", Recipe(3, 16), 0)


def searched(journal: Path, made_with: dict[str, str], evaluations: int, **asked) -> list[Record]:
    def evaluate(arch: Architecture) -> Label:
        return Label(accuracy(arch), made_with)

    return search(
        Study(journal, SPACE, sampler="random", seed=0),
        evaluate,
        objectives=Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)]),
        evaluations=evaluations,
        executor=Serial(),
        **asked,
    )


def test_a_search_resumes_with_labels_of_its_own_kind_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    searched(journal, CPU_LABEL, 2)
    with pytest.raises(UsageError, match=r"trained on cuda in bf16, .* labels are of cpu in fp32"):
        searched(journal, GPU_LABEL, 4)
    assert [record.made_with for record in read_records(journal, SPACE)] == [CPU_LABEL] * 2
    kinds = [one.made_with for one in searched(journal, GPU_LABEL, 4, mix_devices=True)]
    assert kinds == [CPU_LABEL] * 2 + [GPU_LABEL] * 2


def test_a_search_resumes_with_labels_of_the_same_shared_weights_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    searched(journal, {"weights": "0a1b"}, 2)
    with pytest.raises(UsageError, match=r"weights of SHA-256 2c3d, .* with those of 0a1b: use an"):
        searched(journal, {"weights": "2c3d"}, 4, mix_devices=True)
    assert len(searched(journal, {"weights": "0a1b"}, 4)) == 4


def test_labels_that_do_not_say_what_made_them_fit_all(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    searched(journal, {}, 2)
    assert len(searched(journal, GPU_LABEL, 4)) == 4


def test_a_short_training_says_what_made_it() -> None:
    label = TASK(SPACE.decode(SPACE.sample(0)).at(resolution_px=16))
    assert label.made_with == CPU_LABEL


@pytest.mark.parametrize("said", ["{'steps': 5}", "{'cpu': None}", "'cpu'", "None"])
def test_an_own_proxy_says_in_text_what_made_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """The search's journal takes anything, but nobody could read it again."""
    code = f"def make(*_, compute):\n    return Half()\n\n\nclass Half:\n    made_with = {said}\n"
    call = "\n    def __call__(self, arch, *, seed):\n        return 0.5\n"
    (tmp_path / "own_made_with.py").write_text(code + call)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_made_with", raising=False)
    task = replace(TASK, proxy="own_made_with:make")
    message = f"made_with of proxy 'own_made_with:make' must map text to text, got {said}"
    with pytest.raises(UsageError, match=re.escape(message)):
        task(SPACE.decode(SPACE.sample(0)))


def test_a_machine_of_another_kind_is_refused_before_it_trains() -> None:
    replace(TASK, labels_of="cpu").load()
    other = replace(TASK, labels_of="cuda", compute=CPU)
    said = rf"--device cpu is cpu on {platform.node()}, and the search's labels are of cuda"
    with pytest.raises(UsageError, match=said):
        other.load()


def test_labels_in_8_bits_do_not_mix_with_those_in_floats(tmp_path: Path) -> None:
    in_8_bits = {**CPU_LABEL, "score": "onnx-int8"}
    journal = tmp_path / "journal.log"
    searched(journal, CPU_LABEL, 2)
    for mixing in ({}, {"mix_devices": True}):
        with pytest.raises(UsageError, match=r"scored in onnx-int8, and .* labels are in float"):
            searched(journal, in_8_bits, 4, **mixing)
    other = tmp_path / "other.log"
    searched(other, in_8_bits, 2)
    assert len(searched(other, in_8_bits, 4)) == 4
    with pytest.raises(UsageError, match=r"scored in float, and .* labels are in onnx-int8"):
        searched(other, CPU_LABEL, 6)


def test_a_short_training_is_scored_in_8_bits() -> None:
    """The same training; ONNX Runtime counts, on the graph that its quantiser makes."""
    arch = SPACE.decode(SPACE.sample(0)).at(resolution_px=16)
    label = replace(TASK, score_as="onnx-int8")(arch)
    assert label.made_with == {**CPU_LABEL, "score": "onnx-int8"}
    images = for_proxies(TASK.images)
    network = build(arch.at(classes=10), seed=0)
    train(network, images, TASK.recipe, seed=0, compute=TASK.compute)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    graph = onnx_model.build(arch.at(classes=10).layers(), weights, batch="n")
    chosen = images.train.take(stratified_order(images.train.labels, 0)[:32])
    ranges = [images.normalise(pixels).numpy() for pixels, _ in chosen.chunks(1)]
    session = onnxruntime.InferenceSession(quantised(graph, ranges))
    ((pixels, labels),) = images.val.chunks(32)
    (logits,) = session.run(None, {"image": images.normalise(pixels).contiguous().numpy()})
    assert label.accuracy == (logits.argmax(1) == labels.numpy()).mean()


def test_a_plan_scores_in_8_bits_what_runs_in_8_bits() -> None:
    with pytest.raises(UsageError, match="needs --runtime litert-int8 or onnxruntime-int8"):
        check(Plan(target="1", score_int8=True))
    with pytest.raises(UsageError, match="quantises what short-training trains: leave out --proxy"):
        check(Plan(target="1", score_int8=True, runtime="onnxruntime-int8", proxy="macs"))
    check(Plan(target="1", score_int8=True, runtime="onnxruntime-int8"))


def test_a_search_whose_own_proxy_was_edited_is_told(
    digits_latency: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code = "def make(images, recipe, *, compute):\n    return lambda arch, *, seed: 0.{}\n"
    command = [
        "search", "--data=digits", "--resolution=16", "--target=0.9x:mobilenet_v3_small",
        "--workers=1", "--runtime=macs", f"--latency={digits_latency}", "--sampler=random",
        "--proxy=label_proxy:make", "--out=run",
    ]  # fmt: skip
    for evaluations, score, edited in ((2, 5, False), (3, 5, False), (4, 6, True)):
        Path("label_proxy.py").write_text(code.format(score))
        sys.modules.pop("label_proxy", None)
        importlib.invalidate_caches()
        assert run([*command, f"--evaluations={evaluations}"]) == 0
        warned = "label_proxy:make was edited since it scored networks" in capsys.readouterr().err
        assert warned == edited
