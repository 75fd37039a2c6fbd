"""The command line. Every command prints a table, or one JSON document with --json; progress goes to stderr.

Exit code 0, or 2 with one line that says what is wrong and what to do. torch is imported by the commands that need it.
"""

import os
import sys

import typer
from typer.exceptions import TyperException

from core import interrupts
from core.cli import (
    ask,
    bench,
    benchmarks,
    exports,
    hosting,
    models,
    plans,
    recipes,
    regimes,
    runs,
    shared,
    smol,
    sweeps,
    tiny,
)
from core.cli.shared import err
from core.errors import StrataError

app = typer.Typer(
    name="strata",
    help="Understand layer pruning of vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
for command in (
    *(
        ask.ask,
        plans.calibrate,
        plans.plan,
        exports.export,
        sweeps.sweep,
        sweeps.search,
        regimes.regimes,
    ),
    *(benchmarks.benchmarks, recipes.recipes, hosting.doctor, hosting.record, hosting.report, bench.bench),
):
    app.command()(command)
for group in (models, runs, tiny, smol):
    group.register(app)


def main() -> None:
    """Entry point: errors become one line on stderr and exit code 2."""
    interrupts.listen()
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        _say("done")
        sys.exit(code if isinstance(code, int) else 0)
    except StrataError as error:
        _fail(str(error))
    except TyperException as error:
        _fail(f"{error.format_message()} (see python -m core --help)")
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped; finished items are kept, run the same command again to go on", "cancelled")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        sys.exit(0)
    except Exception as error:
        _say("failed", f"a bug in Strata: {error!r}")
        raise


def _say(status: str, message: str = "") -> None:
    if shared.report is not None:
        shared.report.finish(status, message)


def _fail(message: str, status: str = "failed") -> None:
    _say(status, message)
    err.print(" ".join(message.split()), style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)
