"""A model card: Markdown with the fields that model hubs read, for a network to be passed on."""

import json
import re

import jinja2

from bneck import __version__, units
from bneck.errors import UsageError
from bneck.results.image_facts import ImageFacts
from bneck.results.page.report import PAGE
from bneck.results.page.report_data import ReportData
from bneck.results.summary import only_answer
from bneck.text import harmless, in_list, number_of, one_line


def build(data: ReportData, images: ImageFacts) -> str:
    """Return the card of a finished run.

    The front matter holds what Hugging Face's hub reads (``model-index``, ``pipeline_tag`` and so
    on); a licence is for the owner of the weights to choose, so there is none. Local paths are left
    out: a card is passed on.

    Raises:
        UsageError: the run has no derived network yet.
    """
    out = data.outcome
    if out is None:
        raise UsageError(f"{data.name} has no derived network yet; the run is {data.state}")
    places = units.decimals(out.target_ms)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=False,  # Markdown: each text goes through one of these filters
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        in_list=in_list,
        md=_plain,
        yaml=_yaml,
        code=_code,
        percent=units.percent,
        channel="{:.6f}".format,
        count=units.count,
        number_of=number_of,
        ms=lambda latency: units.milliseconds(latency, places),
    )
    session = data.sessions[-1] if data.sessions else None
    return environment.get_template("card.md").render(
        name=data.name,
        trained=data.trained,
        out=out,
        images=images,
        version=__version__,
        target=f"{out.target_ms:.{places}f}",
        side=out.arch.resolution_px,
        device=data.target_device or "a CPU",
        batch_size=data.plan.get("batch_size", 1),
        networks=[("this network", out), *((one.name, one) for one in data.baselines)],
        session=session,
        classes=data.classification,
        narrowed=out.derived_for_ms is not None or any(step.move for step in data.steps),
        only_answer=only_answer(data.classification),
        command=_without_folders(data.command),
    )


def _plain(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line and in one table cell."""
    kept = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#" else c for c in kept)


def _yaml(text: str) -> str:
    """Text as YAML takes it, which contains JSON but for its escapes by pairs of surrogates."""
    return json.dumps(one_line(text), ensure_ascii=False)


def _code(text: str) -> str:
    """A block of code, fenced by more backticks than it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{harmless(text)}\n{fence}"


def _without_folders(command: str) -> str:
    """The command with the last part alone of each path that begins at the root or at home."""
    return re.sub(r"(?<![\w./~-])~?/(?:[^\s'\"/]+/)*(?=[^\s'\"/])", "", command)
