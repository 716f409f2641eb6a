"""``bothways predict BUNDLE [FLOW]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from bothways.bundle import Bundle
from bothways.cli.case import evidence_arguments, no_connection, open_case, read_words, tell_problems
from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import colour, say, say_data, width
from bothways.diagnose import NoConnectionError, expect, lay_beside, predict
from bothways.facts.prediction import Prediction
from bothways.facts.question import Question
from bothways.facts.sighting import Tap
from bothways.report.json import render_json
from bothways.report.prediction_json import prediction_json
from bothways.report.words import counted

__all__ = ["command"]


@click.command("predict", short_help="Walk a connection through the dumps, every outcome.")
@evidence_arguments
@click.option(
    "--as",
    "form",
    type=click.Choice(["steps", "tcpdump", "conntrack", "stack", "pcap", "beside"]),
    default="steps",
    help="Every step (the default); what tcpdump would print at each tap, or conntrack -E in each namespace; "
    "call stacks; capture files; what was recorded beside it.",
)
@click.option(
    "--outcome",
    metavar="N",
    type=click.IntRange(min=1),
    help="Which outcome; the first is the recorded one, and the default of all forms but steps.",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="With --as pcap: a pcapng file with an interface for each tap, or a folder with a file for each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print bothways/prediction/1 instead of text.")
@click.option("--problems", is_flag=True, help="List every problem in the evidence, not only the first 10.")
def command(
    words: tuple[str, ...],
    taps: tuple[str, ...],
    places: tuple[str, ...],
    form: str,
    outcome: int | None,
    output: Path | None,
    *,
    as_json: bool,
    problems: bool,
) -> int:
    """
    Walk a connection through the dumps of BUNDLE: every packet, every step, every outcome.

    Nothing has to be captured: this is what the dumps promise. Where the network is free to choose (who
    answers ARP first), every choice is walked. FLOW names the connection as its client would, in quotes:
    'tcp 192.0.2.1 > 192.0.2.2:22'. Left out, the question in bundle.toml is taken.

    With --as tcpdump, conntrack, stack or pcap one outcome is told in the words of the tools. Taps are those
    of the captures, with their filters; without captures every device that the walk crosses. With --as beside
    the captures, and the recorded lines of conntrack -E, are laid beside the outcome that happened.

    Exit 0 whatever the fate: the walk was done.
    """
    _refuse_what_does_not_go_together(form, output, outcome, as_json=as_json)
    paths, question = read_words(words)
    case = open_case(paths, taps, places)
    try:
        prediction = predict(case, question)
    except NoConnectionError as error:
        raise no_connection("predict", paths) from error
    walk_number = _chosen(prediction, outcome)
    if form == "beside":
        _say_beside(case, question, paths)
    elif as_json:
        say_data(render_json(prediction_json(prediction)) + "\n")
    elif form == "pcap":
        _write(case, prediction, walk_number, output or Path())
    elif form != "steps":
        _say_as(form, case, prediction, walk_number)
    else:
        # rich is loaded only where text is wanted
        from bothways.report.prediction_text import render_prediction_text  # noqa: PLC0415

        shown = prediction if outcome is None else replace(prediction, walks=(prediction.walks[outcome - 1],))
        say(render_prediction_text(shown, width=width(), colour=colour()))
    tell_problems(case.problems, every=problems)
    return ExitCode.DONE


def _refuse_what_does_not_go_together(
    form: str, output: Path | None, outcome: int | None, *, as_json: bool
) -> None:
    """Say which options contradict each other, before anything is read."""
    if form == "beside" and outcome is not None:
        message = "--as beside takes the outcome that happened, --outcome another one"
        raise CommandError(message, "leave one of the two out", ExitCode.WRONG_USAGE)
    if as_json and form != "steps":
        message = f"--json prints the whole prediction, --as {form} one outcome of it in another form"
        raise CommandError(message, "leave one of the two out", ExitCode.WRONG_USAGE)
    if form == "pcap" and output is None:
        message = "--as pcap writes a file, and -o does not name one"
        raise CommandError(
            message, "name it: `-o FILE.pcapng`, or a folder: `-o FOLDER/`", ExitCode.WRONG_USAGE
        )
    if form != "pcap" and output is not None:
        message = f"-o names a capture file, and --as {form} prints text"
        raise CommandError(message, "write `--as pcap`, or leave -o out", ExitCode.WRONG_USAGE)


def _chosen(prediction: Prediction, outcome: int | None) -> int:
    """
    Return the number of the outcome to show: the one that was asked for, else the first.

    :raises CommandError: if there is no such outcome.
    """
    walks = len(prediction.walks)
    if outcome is not None and outcome > walks:
        message = f"there is no outcome {outcome}, this connection has {counted(walks, 'outcome')}"
        raise CommandError(message, "leave --outcome out to see them all", ExitCode.WRONG_USAGE)
    return outcome or 1


def _say_as(form: str, case: Bundle, prediction: Prediction, number: int) -> None:
    from bothways.report.prediction_conntrack import (  # noqa: PLC0415 (only where wanted)
        render_prediction_conntrack,
    )
    from bothways.report.prediction_stack import render_prediction_stack  # noqa: PLC0415 (only where wanted)
    from bothways.report.prediction_tcpdump import render_prediction_tcpdump  # noqa: PLC0415 (only where wanted)

    if form == "stack":
        say(render_prediction_stack(prediction, number))
    elif form == "conntrack":
        say(render_prediction_conntrack(prediction, number))
    else:
        captures = expect(case, prediction.walks[number - 1])
        say(render_prediction_tcpdump(prediction, number, captures, case.snapshot))


def _say_beside(case: Bundle, question: Question | None, paths: Sequence[Path]) -> None:
    # rich is loaded only where text is wanted
    from bothways.report.side_by_side import render_side_by_side  # noqa: PLC0415

    title = ", ".join(str(path) for path in paths)
    compared = lay_beside(case, question)
    say(render_side_by_side(compared, title=title, width=width(), colour=colour()))


def _write(case: Bundle, prediction: Prediction, number: int, output: Path) -> None:
    """
    Write the predicted captures: one file with an interface for each tap, or a folder with a file for each.

    :raises CommandError: if it cannot be written.
    """
    from bothways.report.predicted_frames import predicted_pcapng  # noqa: PLC0415 (only where wanted)

    walk = prediction.walks[number - 1]
    captures = expect(case, walk)
    if output.is_dir() or output.name == "" or output.suffix == "":
        files = {output / _file_name(each.tap): [each] for each in captures}
    else:
        files = {output: list(captures)}
    try:
        for path, each in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(predicted_pcapng(each, walk, case.snapshot))
    except OSError as error:
        hint = "name a file or folder that you may write to"
        raise CommandError(
            f"`{error.filename or output}` cannot be written: {reason(error)}", hint
        ) from error
    for path in files:
        say(f"{path}\n")


def _file_name(tap: Tap) -> str:
    """``HOST.NETNS.DEVICE.pcapng``; what a name of the evidence could do to a path is taken out."""
    words = f"{tap.host}.{tap.netns}.{tap.device}"
    return "".join(letter if letter.isalnum() or letter in "-_.@" else "_" for letter in words) + ".pcapng"
