"""``bothways predict BUNDLE [FLOW]``."""

from __future__ import annotations

from pathlib import Path

import click

from bothways.cli.case import bundle_argument, flow_argument, open_case, read_flow, tell_problems
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import colour, say, say_data, width
from bothways.diagnose import predict
from bothways.report.json import render_json
from bothways.report.prediction_json import prediction_json

__all__ = ["command"]


@click.command("predict", short_help="Walk a connection through the dumps, every outcome.")
@bundle_argument
@flow_argument
@click.option("--json", "as_json", is_flag=True, help="Print bothways/prediction/1 instead of text.")
@click.option("--problems", is_flag=True, help="List every problem in the evidence, not only the first 10.")
def command(bundle: Path, flow: tuple[str, ...], *, as_json: bool, problems: bool) -> int:
    """
    Walk a connection through the dumps of BUNDLE: every packet, every step, every outcome.

    Nothing has to be captured: this is what the dumps promise. Where the network is free to choose (who
    answers ARP first), every choice is walked. FLOW names the connection as its client would, in quotes:
    'tcp 192.0.2.1 > 192.0.2.2:22'. Left out, the question in bundle.toml is taken.

    Exit 0 whatever the fate: the walk was done.
    """
    question = read_flow(flow)
    case = open_case(bundle)
    if question is None and case.question is None and not case.captures:
        raise CommandError(
            "no connection is named: FLOW was left out, and bundle.toml has no [question]",
            f"name it: `bothways predict {bundle} 'tcp SOURCE > DESTINATION:PORT'`",
            ExitCode.WRONG_USAGE,
        )
    prediction = predict(case, question)
    if as_json:
        say_data(render_json(prediction_json(prediction)) + "\n")
    else:
        # rich is loaded only where text is wanted
        from bothways.report.prediction_text import render_prediction_text  # noqa: PLC0415

        say(render_prediction_text(prediction, width=width(), colour=colour()))
    tell_problems(case.problems, every=problems)
    return ExitCode.DONE
