"""How a command shows itself: options under headings, and usage with one kind of brackets."""

from typing import Any

from typer.core import TyperCommand

from bneck.derivation.option import PANELS
from bneck.errors import UsageError

FIRST, LAST = "Arguments", "Options"
ORDER = (FIRST, *PANELS, LAST)


class Command(TyperCommand):
    """A command whose help groups the options by the headings that they name.

    It takes no empty value: an empty path would be the working directory.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, *_ = self.make_parser(ctx).parse_args(args=list(args))
        for param in self.get_params(ctx):
            value = given.get(param.name)
            if value == "" or (isinstance(value, list | tuple) and "" in value):
                raise UsageError(f"{_name(param).split()[0]} must not be empty")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                heading = FIRST if param.param_type_name == "argument" else _heading(param)
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=ORDER.index):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = ["[OPTIONS]"]
        for param in self.get_params(ctx):
            if param.param_type_name == "argument":
                name = _name(param) + ("..." if param.nargs != 1 else "")
                pieces.append(name if param.required else f"[{name}]")
        return pieces


def _name(param: Any) -> str:
    """What help calls an argument or an option."""
    if param.param_type_name == "argument":
        return (param.metavar or str(param.name).upper()).removesuffix("...")
    return str(param.opts[0])


def _heading(param: Any) -> str:
    return getattr(param, "rich_help_panel", None) or LAST
