"""The model card: what hubs parse, what people read, and nothing that breaks out of it."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from bneck.errors import UsageError
from bneck.quantities import Accuracy, Latency
from bneck.results import card
from bneck.results.classification import classification
from bneck.results.image_facts import ImageFacts
from bneck.results.page import report
from bneck.results.page.report_data import ReportData
from bneck.text import one_line

IMAGES = ImageFacts(
    name="folder:/home/ada/photos",
    fingerprint="0123456789ab",
    class_names=("cat", "a|b", "<script>alert(1)</script>", "\x1b[2J"),
    training=480,
    validation=120,
)


def test_the_front_matter_is_what_hubs_read(finished: ReportData) -> None:
    """Fields of huggingface_hub's ModelCardData and EvalResult."""
    _, front, body = card.build(replace(finished, name='a: "b"'), IMAGES).split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["pipeline_tag"] == "image-classification"
    assert fields["library_name"] == "onnx"
    (entry,) = fields["model-index"]
    assert entry["name"] == 'a: "b"'
    (result,) = entry["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"]["name"] == "folder:photos"
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9312}]
    assert body.lstrip().startswith('# a: "b"')


@pytest.mark.parametrize("name", ["Fotos 🐱", "日本語", "a\x7fb\x1b[2J\udcff", "- x: [y]"])
def test_any_name_survives_the_front_matter(finished: ReportData, name: str) -> None:
    front = card.build(replace(finished, name=name), IMAGES).split("---\n", 2)[1]
    (entry,) = yaml.safe_load(front.encode())["model-index"]
    assert entry["name"] == one_line(name)


def test_the_body_says_how_a_picture_is_brought_to_the_network(finished: ReportData) -> None:
    text = card.build(finished, IMAGES)
    assert (
        "turned upright, laid on white where it is transparent, cut to its centred square" in text
    )


def test_normalisation_is_given_for_formats_whose_metadata_no_app_reads(
    finished: ReportData,
) -> None:
    assert "Mean:" not in card.build(finished, IMAGES)  # which does not say it
    known = replace(IMAGES, mean=(0.5, 0.25, 1 / 3), std=(0.28, 0.281, 0.29289461))
    said = "Mean: 0.500000, 0.250000, 0.333333. Deviation: 0.280000, 0.281000, 0.292895.\n"
    assert said in card.build(finished, known)


def test_the_body_says_what_was_measured(finished: ReportData) -> None:
    text = card.build(finished, IMAGES)
    assert "| this network | 93.1 ± 0.4 % |" in text
    assert "| mobilenet\\_v3\\_small | 93.3 ± 0.4 % |" in text
    assert "the validation part of 120 images" in text
    assert finished.sessions[0].command in text
    assert "<script>" not in text
    assert "a\\|b" in text
    assert "\x1b" not in text


def test_each_network_has_its_own_figures(finished: ReportData) -> None:
    """Of the demonstration's networks, the derived one is predicted at another latency."""
    assert finished.outcome is not None
    out = replace(
        finished.outcome, params=1_230_000, macs=45_600_000, measured=Latency(0.2, 0.005),
        test_accuracy=Accuracy(0.925, 0.011),
    )  # fmt: skip
    figures = classification(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]), ["a", "b"])
    judged = replace(finished, outcome=out, baselines=(), classification=figures)
    text = card.build(judged, replace(IMAGES, test=2000))
    assert "| this network | 93.1 ± 0.4 % | 0.200 ± 0.005 | 1.23 M | 45.6 M |" in text
    assert "On 2,000 test images, which chose nothing: this network 92.5 ± 1.1 %." in text
    of_one = card.build(judged, replace(IMAGES, test=1))
    assert "On 1 test image, which chose nothing: this network 92.5 ± 1.1 %." in of_one
    # One of two cats is right, and no dog is there; at 75 % sure, half are off by 25 points. Each
    # answer's variance is 3/16: by chance, sqrt(2 / pi) of the root of both together, over two.
    by_chance = 100 * (2 / np.pi) ** 0.5 * (2 * 3 / 16) ** 0.5 / 2
    assert (
        "balanced accuracy (the mean over the classes) 50.0 %; expected calibration error 25.0 % "
        f"(by chance alone {by_chance:.1f} %)"
    ) in text


def test_latencies_of_batches_are_called_so(finished: ReportData) -> None:
    assert "; latency of one image, warm" in card.build(finished, IMAGES)
    eight = replace(finished, plan={**finished.plan, "batch_size": 8})
    assert "; latency of a batch of 8 images, warm" in card.build(eight, IMAGES)


def test_images_that_were_left_out_are_not_counted(finished: ReportData) -> None:
    """Nothing is trained on, or chosen by, pictures that judge in another part."""
    left_out = replace(IMAGES, test=40, training_left_out=30, validation_left_out=20)
    text = card.build(finished, left_out)
    assert "the validation part of 100 images" in text
    assert "450 images to train on" in text


def test_it_is_said_which_images_the_classes_were_judged_by(finished: ReportData) -> None:
    """Those of the last figure: test images, where there are any."""
    figures = classification(np.eye(2), np.array([0, 1]), ["a", "b"])
    judged = replace(finished, classification=figures)
    assert "On the validation images: balanced accuracy" in card.build(judged, IMAGES)
    assert "On the test images: balanced accuracy" in card.build(judged, replace(IMAGES, test=2))


def test_classes_with_commas_in_their_names_are_told_apart(finished: ReportData) -> None:
    names = ("tench, Tinca tinca", "goldfish")
    text = card.build(finished, replace(IMAGES, class_names=names))
    assert '\nClasses: "tench, Tinca tinca", goldfish.\n' in text
    page = report.build(replace(finished, class_names=names))
    assert "<dd>&#34;tench, Tinca tinca&#34;, goldfish</dd>" in page


def test_netadapt_is_named_where_it_narrowed_the_network(finished: ReportData) -> None:
    """One of a faster target may have been narrowed for that."""
    narrowed = "a block-wise search, NetAdapt and a training from scratch, as MobileNetV3 was"
    assert narrowed in card.build(finished, IMAGES)
    at_once = replace(finished, steps=finished.steps[:1])
    assert narrowed not in card.build(at_once, IMAGES)
    assert (
        "for 0.211 ms on a CPU: a block-wise search and a training from scratch. NetAdapt had "
        "nothing to narrow: the search's network was at or under the target.\n\n## Use\n"
    ) in card.build(at_once, IMAGES)
    assert finished.outcome is not None
    faster = replace(at_once, outcome=replace(finished.outcome, derived_for_ms=0.1))
    assert narrowed in card.build(faster, IMAGES)


def test_a_teacher_is_named(finished: ReportData) -> None:
    """MobileNetV3 had none."""
    taught = replace(finished, trained="from scratch with a teacher")
    text = card.build(taught, IMAGES)
    assert "a block-wise search, NetAdapt and a training from scratch with a teacher.\n" in text
    assert "trained from scratch with a teacher by one recipe" in report.build(taught)


def test_each_latency_that_is_not_to_be_relied_on_is_named(finished: ReportData) -> None:
    assert "relied on" not in card.build(finished, IMAGES)
    small, *others = finished.baselines
    doubtful = (replace(small, note="load 1"), *others)
    text = card.build(replace(finished, baselines=doubtful), IMAGES)
    assert "The latency of mobilenet\\_v3\\_small is not to be relied on: load 1.\n" in text
    assert finished.outcome is not None
    own = replace(finished, outcome=replace(finished.outcome, note="load 2"))
    assert "The latency of this network is not to be relied on: load 2.\n" in (
        card.build(own, IMAGES)
    )


def test_a_network_of_one_answer_is_called_so(finished: ReportData) -> None:
    figures = classification(np.eye(2)[[0, 0]], np.array([0, 1]), ["a_b", "c"])
    text = card.build(replace(finished, classification=figures), IMAGES)
    assert "%). It gives every image the class 'a\\_b', whatever is shown: it has learnt" in text
    assert "apart. Longer training (--epochs) may help.\n\nAll rows were trained" in text


def test_a_card_names_no_local_path(finished: ReportData) -> None:
    command = "bneck derive --data folder:/home/ada/photos --out ~/runs/x --latency=/tmp/a/l.json"
    session = replace(finished.sessions[0], command=command)
    text = card.build(replace(finished, sessions=(session,)), IMAGES)
    assert "bneck derive --data folder:photos --out x --latency=l.json" in text
    assert "/home" not in text
    assert "/tmp" not in text


def test_nothing_breaks_out_of_the_command(finished: ReportData) -> None:
    session = replace(finished.sessions[0], command="bneck derive ```\n# Heading <script>")
    text = card.build(replace(finished, sessions=(session,)), IMAGES)
    assert "````sh\nbneck derive ```\n# Heading <script>\n````" in text


def test_a_run_without_a_network_has_no_card() -> None:
    with pytest.raises(UsageError, match="digits has no derived network yet; the run is stopped"):
        card.build(ReportData(name="digits", state="stopped", plan={}), IMAGES)


def test_latencies_that_are_predicted_alone_are_given(finished: ReportData) -> None:
    assert finished.outcome is not None
    assert "Its latency holds on the device that it was measured on." in card.build(
        finished, IMAGES
    )
    (one, *_) = finished.baselines
    bare = replace(one, measured=None, predicted=Latency(0.4, 0.02))
    outcome = replace(finished.outcome, measured=None)
    text = card.build(replace(finished, outcome=outcome, baselines=(bare,)), IMAGES)
    assert "| 0.400 ± 0.020 predicted |" in text
    once = card.build(replace(finished, baselines=(bare,)), IMAGES)
    assert "All rows were trained by the same recipe.\n" in once
    assert "Its latency holds on the device that it was predicted for." in text
