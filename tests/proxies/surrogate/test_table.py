"""Tables of truth: published ones read right, spoilt ones refused with the line."""

import json
import re
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.proxies.surrogate import table
from bneck.space import codec, presets, spaces

MACRO_HEAD = "arch,acc_run1,acc_run2,acc_run3,mean_acc,params,flops\n"
MACRO = [f"2221{n}220,93.0,93.0,93.0,93.{n},1,1\n" for n in range(3)] + [
    "00000000,45,45,45,45.4,1,1\n",
    "11111111,90,90,90,90.5,1,1\n",
]


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_nas_bench_macro(shared_data: Path) -> None:
    found = table.load(shared_data / "nas_bench_macro.csv")
    assert found.space is not None
    assert len(found.accuracies) == found.space.size == 3969
    assert max(found.accuracies.values()) == pytest.approx(0.931267)  # code 22212220


def test_accel_nasbench_warns_of_the_network_that_was_trained_twice(shared_data: Path) -> None:
    with pytest.warns(UserWarning, match=r"mean: 0\.6028 in line 2, 0\.6055 in line 86"):
        found = table.load(shared_data / "accel_nasbench_sample.csv")
    assert len(found.accuracies) == 1061
    assert {(arch.resolution_px, arch.classes) for arch in found.accuracies} == {(224, 1000)}


def test_a_network_that_learnt_nothing_is_no_share_of_1(tmp_path: Path) -> None:
    found = table.load(written(tmp_path, MACRO_HEAD + "".join(MACRO) + "22222222,1,1,1,0.1,1,1\n"))
    assert min(found.accuracies.values()) == pytest.approx(0.001)


@pytest.mark.parametrize("per_cent", [(0.1, 8.3, 60.3, 61.5, 65.1), (0.4, 0.9, 1.3, 2.7, 5.2)])
def test_networks_that_learnt_little_of_1000_classes_are_no_shares_of_1(
    shared_data: Path, tmp_path: Path, per_cent: tuple[float, ...]
) -> None:
    """One at chance, and all after an epoch; a share is far below others if taken for per cent."""
    head, *rows = (shared_data / "accel_nasbench_sample.csv").read_text().splitlines()[:6]
    place = head.split(",").index("val_top1")

    def with_accuracies(values: tuple[float, ...]) -> Path:
        cells = [row.split(",") for row in rows]
        changed = [
            [*c[:place], str(v), *c[place + 1 :]] for c, v in zip(cells, values, strict=True)
        ]
        return written(tmp_path, "\n".join([head, *(",".join(row) for row in changed)]))

    found = sorted(table.load(with_accuracies(per_cent)).accuracies.values())
    assert found == pytest.approx([one / 100 for one in per_cent])
    with pytest.raises(UsageError, match=r"val_top1 is 0\.61 in line 2 and 60\.3 in line 3"):
        table.load(with_accuracies((0.61, 60.3, 61.5, 65.1, 70)))


def test_our_own_json_lines(tmp_path: Path) -> None:
    archs = [presets.build("mobilenet_v3_small", width=width) for width in (0.5, 0.75, 1, 1.25, 2)]
    lines = [
        json.dumps({"arch": codec.to_json(arch), "accuracy": 0.6 + i / 100})
        for i, arch in enumerate(archs)
    ]
    for text in ("\n" + "\n\n".join(lines) + "\n\n", "\n".join(lines) + "\n"):  # blank lines too
        path = written(tmp_path, text)
        assert table.load(path).accuracies == {a: 0.6 + i / 100 for i, a in enumerate(archs)}
    other_side = spaces.build("v3-small", resolution_px=96)
    with pytest.raises(
        UsageError, match="line 1: a network for 224 px and 1000 classes, not for 96"
    ):
        table.load(path, other_side)
    path.write_text(path.read_text().replace('"hswish"', '"hswash"', 1))
    with pytest.raises(UsageError, match=r"table.csv, line 1: .*'hswash'; known: none, relu"):
        table.load(path)
    path.write_text("\n".join([*lines[1:], lines[0].replace('"accuracy": 0.6', '"accuracy": 60')]))
    with pytest.raises(
        UsageError, match="line 5: accuracy must be from 0 to 1, got 60; divide per"
    ):
        table.load(path)
    path.write_text("\n".join([*lines[:3], '{"arch": 7}']))
    with pytest.raises(UsageError, match=r"line 4: a row is .*accuracy"):
        table.load(path)


def test_a_shorter_trainings_accuracy_may_be_absent_and_is_a_number(tmp_path: Path) -> None:
    archs = [presets.build("mobilenet_v3_small", width=width) for width in (0.5, 0.75, 1, 1.25, 2)]
    rows = [{"arch": codec.to_json(arch), "accuracy": 0.6} for arch in archs]
    shorter = [{"accuracy@5": 0.5}, {}, {"accuracy@5": None}, {"accuracy@5": ""}]
    for last in (0.4, "0.4%", True, [0.4], 10**400, float("nan")):
        lines = map(dict.__or__, rows, [*shorter, {"accuracy@5": last}])
        path = written(tmp_path, "\n".join(map(json.dumps, lines)))
        if last == 0.4:
            assert table.load(path).columns == {"accuracy@5": {archs[0]: 0.5, archs[4]: 0.4}}
            continue
        with pytest.raises(UsageError) as caught:
            table.load(path)
        said = f"{path}, line 5: accuracy@5 must be a number or empty, got {last!r:.60}"
        assert str(caught.value) == said


def test_choices_as_columns(tmp_path: Path) -> None:
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    drawn = [space.sample(seed) for seed in range(6)]
    names = [*space.choices, "accuracy"]
    lines = [",".join(names)]
    for seed, values in enumerate(drawn):
        cells = [str(values.get(name, "")) for name in space.choices]
        lines.append(",".join([*cells, f"0.{50 + seed}"]))
    path = written(tmp_path, "\n".join(lines))
    expected = {space.decode(values): (50 + i) / 100 for i, values in enumerate(drawn)}
    assert table.load(path, space).accuracies == expected
    with pytest.raises(UsageError, match="name the space they are choices of"):
        table.load(path)

    path.write_text("\n".join(lines).replace("s1.width", "s1.wdith"))
    with pytest.raises(UsageError, match=r"unknown column in .*'s1.wdith'; known: s1.width"):
        table.load(path, space)

    path.write_text("family,pixel1_ms\nmobilenet_v3,51.2\n")
    with pytest.raises(UsageError, match="is not a table of accuracies: no column is") as caught:
        table.load(path, space)
    assert len(str(caught.value)) < len(str(path)) + 150

    row = lines[3].split(",")
    row[0] = "17"
    path.write_text("\n".join([*lines[:3], ",".join(row), *lines[4:]]))
    with pytest.raises(UsageError, match=r"line 4: unknown value of s1.width: '17'; known: 8, 16"):
        table.load(path, space)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MACRO_HEAD + MACRO[0], "holds 1 network; at least 5 are needed"),
        (MACRO_HEAD + "".join(MACRO[:3]), "holds 3 networks; at least 5 are needed"),
        (MACRO_HEAD, "holds 0 networks"),
        ("", "name the space"),
        (MACRO_HEAD + "".join(MACRO) + "2221x220,1,1,1,93,1,1\n", "line 7: .* got '2221x220'"),
        (MACRO_HEAD + "".join(MACRO) + "22222222,1,1,1,nan,1,1\n", "line 7: mean_acc .* got nan"),
        (MACRO_HEAD + "".join(MACRO) + "22222222,1,1,1,many,1,1\n", "line 7: mean_acc must be a n"),
        (MACRO_HEAD + "".join(MACRO) + "22222222,1,1,1,930,1,1\n", "from 0 to 100, got 930"),
        (
            MACRO_HEAD + "".join(MACRO) + "22222222,1,1,n/a,93,1,1\n",
            "line 7: acc_run3 must be a number or empty, got 'n/a'",
        ),
        (MACRO_HEAD + "".join(MACRO) + "22222222,1,nan,1,93,1,1\n", "line 7: acc_run2 .* 'nan'"),
        (MACRO_HEAD + "".join(MACRO) + "22222222,1\n", "line 7: mean_acc must be a number, got ''"),
        (MACRO_HEAD.replace(",", ";"), "has semicolons between its columns; commas are expected"),
        (MACRO_HEAD.replace(",", "\t"), "has tabs between its columns"),
        (
            MACRO_HEAD + re.sub(r"(\d\d)\.(\d)(?=,1,1)", r"0.\1\2", "".join(MACRO)),
            "no value of mean_acc is above 1, so these are shares",
        ),
        (
            MACRO_HEAD + "".join(MACRO) + "22222222,1,1,1,0.71,1,1\n",
            "mean_acc is 0.71 in line 7 and 45.4 in line 5: give all in per cent, from 0 to 100",
        ),
        (MACRO_HEAD.replace("arch", "code") + "".join(MACRO), "lacks the column 'arch'"),
        (MACRO_HEAD + "22222222,1,1,1,93,1,1,more\n", "line 2: 8 fields in 7 columns"),
        (MACRO_HEAD + f"22222222,1,1,1,{'9' * 200_000},1,1\n", "line 2: field larger than"),
        (f'{{"arch": {{}}, "accuracy": 1{"0" * 400}}}\n', "line 1: int too large"),
    ],
)
def test_spoilt_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table.load(written(tmp_path, text))


def test_an_empty_table_is_told_so(tmp_path: Path) -> None:
    for text in ("", "\n\n"):
        with pytest.raises(UsageError, match=r"table\.csv is empty$"):
            table.load(written(tmp_path, text), spaces.build("v3-small"))


def test_rows_that_disagree_are_averaged_with_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path, MACRO_HEAD + "".join(MACRO) + "00000000,1,1,1,45.6,1,1\n")
    with pytest.warns(UserWarning, match=r"mean: 0\.4540 in line 5, 0\.4560 in line 7"):
        found = table.load(path)
    assert min(found.accuracies.values()) == pytest.approx(0.455)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        table.load(tmp_path / "nowhere.csv")
