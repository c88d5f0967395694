"""The command ``bneck``: text to stdout, progress to stderr, one line and a code for errors."""

import os
import signal
import sys

import typer

from bneck import live
from bneck.commands import (
    derive,
    latency,
    likeness,
    network,
    proxies,
    reproduce,
    results,
    shrink,
)
from bneck.errors import BneckError

INTERRUPTED = 130

app = typer.Typer(
    help="Derive a mobile network for your CPU, your latency target and your images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for commands in (derive, shrink, likeness, reproduce, network, results, latency, proxies):
    commands.register(app)

# Typer names its base of all usage errors in no public module.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed at work, 2 bad usage, 130 interrupted."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, live.interrupt)
    sys.path.append(
        os.getcwd()
    )  # where one's own package.module:attr lies; nothing is hidden by it
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = app(arguments, standalone_mode=False)
    except BneckError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        return 1
    except (OSError, MemoryError) as error:
        return _fail(str(error) or "out of memory", 1)
    except _UsageProblem as error:
        return _fail(error.format_message(), 2)  # type: ignore[attr-defined]
    if code == INTERRUPTED:
        return _fail("interrupted; the same command goes on from here", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    live.close()
    print(f"bneck: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
