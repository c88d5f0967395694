"""The docs' Python runs, their commands and options exist, and no page or file is left out."""

import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import typer.main

from bneck.commands.app import COMMANDS, app
from bneck.proxies.proxy import ELASTIC
from bneck.results.checksums import CHECKSUMS
from bneck.results.plan_change import SUPERSEDED
from bneck.results.run_files import RunFiles
from bneck.results.run_folder import PLAN
from bneck.space.blocks import BLOCKS
from bneck.space.spaces import SPACES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_COMMANDS = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "Makefile",
    *sorted((ROOT / "reproductions").rglob("*.md")),
    *sorted((ROOT / "cluster").iterdir()),
]
NOT_RUN = "<!-- not run: "
OF_OTHERS = {"--help", "--strict", "--address", "--node-ip-address", "--num-cpus"}
"""What every command has, and options of mypy and Ray."""


def blocks(page: Path, language: str) -> list[str]:
    """The page's code, without what is marked as not run."""
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"(?P<before>[^\n]*)\n+```{language}\n(?P<code>.*?)```", re.DOTALL)
    return [
        match["code"] for match in pattern.finditer(text) if not match["before"].startswith(NOT_RUN)
    ]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_python(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that begin with `# file: NAME` are that file; the others run one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    script = []
    for code in blocks(page, "python"):
        if named := re.match(r"# file: (\w+\.py)\n", code):
            (tmp_path / named[1]).write_text(code)
        else:
            script.append(code)
    (tmp_path / "page.py").write_text("\n".join(script))
    tables, modules = (BLOCKS, SPACES), set(sys.modules)
    before = [dict(table) for table in tables]
    try:
        runpy.run_path(str(tmp_path / "page.py"))
    finally:
        for table, kept in zip(tables, before, strict=True):
            table.clear()
            table.update(kept)
        for name in set(sys.modules) - modules:
            if (tmp_path / f"{name}.py").exists():
                del sys.modules[name]


def code(page: Path) -> str:
    """All code of a page, or all of a file that is no page, a command on each line."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        fences = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        text = "\n".join([*fences, *(" ".join(span.split()) for span in spans)])
    return re.sub(r"\\\n|\n(?= +--)", " ", text)


def options(command: Any) -> set[str]:
    """Of a command, or of all commands of a group."""
    found = {o for param in command.params for o in [*param.opts, *param.secondary_opts]}
    below = getattr(command, "commands", {})
    return found.union(*(options(below[name]) for name in below))


def commands(text: str) -> Iterator[tuple[Any, list[str], set[str]]]:
    """Each of bneck's commands in the text, with its words, and those of them that are options."""
    root = typer.main.get_command(app)
    for line in re.findall(rf"\bbneck (?:{'|'.join(COMMANDS)})\b.*", text):
        words = shlex.split(line, comments=True)
        command, rest = root, words[1:]
        while rest and (below := getattr(command, "commands", {})):
            name = rest[0] if rest[0] in below else "net"
            assert name in below, words
            command, rest = below[name], rest[1:] if rest[0] == name else rest
        yield command, words, {word.partition("=")[0] for word in rest if word.startswith("--")}


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_commands(page: Path) -> None:
    for command, words, asked in commands(code(page)):
        assert asked <= options(command) | {"--help"}, words


@pytest.mark.parametrize("page", [page for page in WITH_COMMANDS if page.suffix == ".md"], ids=str)
def test_commands_of_code_blocks_lack_nothing(page: Path) -> None:
    fences = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for command, words, asked in commands(re.sub(r"\\\n", " ", "".join(fences))):
        needed = [param for param in command.params if param.required and param.opts[0][0] == "-"]
        lacking = [param.opts[0] for param in needed if not asked & set(param.opts)]
        assert "--help" in asked or lacking == [], words


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_scripts_and_their_options_exist(page: Path) -> None:
    for script, rest in re.findall(r"\bpython (benchmarks/\S+)(.*)", code(page)):
        text = (ROOT / script).read_text(encoding="utf-8")
        assert [o for o in re.findall(r"(?<!\S)--[\w-]+", rest) if f'"{o}"' not in text] == []


@pytest.mark.parametrize("page", [page for page in WITH_COMMANDS if page.suffix == ".md"], ids=str)
def test_options_that_sentences_name_exist(page: Path) -> None:
    scripts = "".join(one.read_text() for one in (ROOT / "benchmarks").rglob("*.py"))
    known = options(typer.main.get_command(app)) | OF_OTHERS
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r"(?<![\w-])--[a-z][\w-]*", text)
    assert [one for one in named if one not in known and f'"{one}"' not in scripts] == []


def test_the_reference_lists_every_file_of_a_run() -> None:
    files = RunFiles(Path("run"))
    names = [path.name for path in vars(files).values() if path != files.folder]
    table = (ROOT / "docs" / "reference.md").read_text().partition("## A run's folder")[2]
    names += [PLAN, CHECKSUMS, ELASTIC, SUPERSEDED]
    assert [name for name in names if f"`{name}" not in table] == []


def anchors(page: Path) -> set[str]:
    """Those of the page's headings, as GitHub and the site write them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text.lower(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in WITH_COMMANDS if page.suffix == ".md"], ids=str)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """The site holds docs/ alone: a page there cannot link to what lies outside of it."""
    site = ROOT / "docs" if page.is_relative_to(ROOT / "docs") else ROOT
    dead = []
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = re.sub(r"\s", "", link).partition("#")
        if name.startswith("https://"):
            continue
        linked = (page.parent / name).resolve() if name else page
        there = linked.is_relative_to(site) and linked.exists()
        if not there or (anchor and anchor not in anchors(linked)):
            dead.append(link)
    assert dead == []


def test_every_page_is_in_the_navigation_and_in_the_index() -> None:
    navigation, index = (ROOT / "mkdocs.yml").read_text(), (ROOT / "docs/index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert f": {name}" in navigation
        assert f"({name})" in index or name == "index.md"


def on_one_clock(record: str) -> dict[str, str]:
    """Milliseconds of each network as the page gives them, from the ratios of its record."""
    rows = [json.loads(line) for line in (ROOT / "docs" / record).read_text().splitlines()]
    sides: dict[int, list[float]] = {}
    for row in rows:
        sides.setdefault(row["side"], []).append(row["ms"] / row["ratio"])
    return {row["name"]: f"{row['ratio'] * median(sides[row['side']]):.2f}" for row in rows}


def test_the_published_networks_take_what_their_records_say() -> None:
    page = (ROOT / "docs/evidence/front.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \**([\w.]+)\** \| \d+ \| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE)
    onnxruntime, litert = on_one_clock("front.jsonl"), on_one_clock("front-litert.jsonl")
    assert rows == [(name, onnxruntime[name], litert[name]) for name, *_ in rows]
    assert {name for name, *_ in rows} == {
        name for name, ms in onnxruntime.items() if float(ms) <= 6
    }
