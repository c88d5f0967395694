"""The docs' Python runs, and their commands exist with the options they are shown with."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import typer.main

from bneck.commands.app import app
from bneck.space.blocks import BLOCKS
from bneck.space.spaces import SPACES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = "<!-- not run: "


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands(page: Path) -> None:
    root = typer.main.get_command(app)
    shown = [
        shlex.split(line, comments=True)
        for code in blocks(page, "sh")
        for line in code.replace("\\\n", " ").splitlines()
        if line.startswith("bneck ")
    ]
    for words in shown:
        command, rest = root, words[1:]
        while rest and (below := getattr(command, "commands", {})):
            name = rest[0] if rest[0] in below else "net"
            assert name in below, words
            command, rest = below[name], rest[1:] if rest[0] == name else rest
        known = {option for param in command.params for option in param.opts}
        asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert asked <= known | {"--help"}, (words, asked - known)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}" in navigation
