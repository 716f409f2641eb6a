"""BUNDLE or loose files, and FLOW, as every verb takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import click

from bothways.bundle import Bundle, BundleError, open_evidence
from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import tell
from bothways.facts.question import Question
from bothways.facts.span import Problem
from bothways.parse.flow import FlowError, parse_flow
from bothways.report.words import counted, problem_line

__all__ = [
    "evidence_arguments",
    "no_connection",
    "open_case",
    "place_options",
    "read_flow",
    "read_words",
    "tell_problems",
]

#: problems that are listed where nobody asked for all of them
MOST_PROBLEMS: Final = 10
_HINT: Final = "a bundle is a folder with bundle.toml and hosts/, docs/howto/make-a-bundle.md makes one"
_HINT_INSIDE: Final = "docs/reference/bundle.md shows what stands in bundle.toml"

#: How a word that is no FLOW ends if it names a file, though none is there.
_FILE: Final = re.compile(
    r"\.(?:pcap|pcapng|cap|txt|log|json|jsonl|md|out|gz|tgz|tar|xz|zst|zip)\Z", re.IGNORECASE
)


def no_connection(verb: str, paths: Sequence[Path], more: str = "") -> CommandError:
    """The refusal of a verb that needs a connection where nothing names one."""
    files = " ".join(map(str, paths))
    return CommandError(
        "no connection is named: FLOW was left out, and neither a [question] nor a capture names one",
        f"name it: `bothways {verb} {files} 'tcp SOURCE > DESTINATION:PORT'{more}`",
        ExitCode.WRONG_USAGE,
    )


Verb = TypeVar("Verb", bound=Callable[..., object])


def evidence_arguments(verb: Verb) -> Verb:
    """Declare BUNDLE or files, with FLOW behind them (``words``), and where loose files were taken."""
    return click.argument("words", metavar="BUNDLE... [FLOW]", nargs=-1, required=True)(place_options(verb))


def place_options(verb: Verb) -> Verb:
    """Declare where loose files were taken."""
    verb = click.option(
        "--place",
        "places",
        metavar="HOST[/NETNS]=FILE",
        multiple=True,
        help="Where a dump was taken, if nothing tells; FILE:LINE for one of several.",
    )(verb)
    return click.option(
        "--tap",
        "taps",
        metavar="HOST[/NETNS]:DEVICE=FILE",
        multiple=True,
        help="Where a capture was taken, if nothing tells.",
    )(verb)


def read_words(words: Sequence[str]) -> tuple[tuple[Path, ...], Question | None]:
    """
    Tell files from the FLOW behind them.

    The first word is a file; of the others those that exist, or that end as files do. What follows is the
    FLOW.

    :raises CommandError: if the rest is no FLOW.
    """
    count = next((n for n, word in enumerate(words) if n and not _is_file(word)), len(words))
    return tuple(Path(word) for word in words[:count]), read_flow(words[count:])


def _is_file(word: str) -> bool:
    if not word or _is_flow(word):
        return False
    try:
        return Path(word).exists() or _FILE.search(word) is not None
    except (OSError, ValueError):
        return False


def open_case(
    evidence: Path | Sequence[Path], taps: Sequence[str] = (), places: Sequence[str] = ()
) -> Bundle:
    """
    Open a bundle or loose files.

    :raises CommandError: if they hold no evidence, cannot be read, or if a place has to be told.
    """
    paths = [evidence] if isinstance(evidence, Path) else list(evidence)
    path = paths[0]
    try:
        return open_evidence(paths, taps, places)
    except BundleError as error:
        hint = error.hint or (_HINT_INSIDE if path.is_dir() else _HINT)
        if not path.exists() and _is_flow(str(path)):
            hint = f"this reads like a FLOW, and BUNDLE comes first: `BUNDLE '{path}'`"
        raise CommandError(error.message, hint) from error
    except OSError as error:
        raise CommandError(f"`{path}` cannot be read: {reason(error)}", _HINT) from error


def read_flow(words: Sequence[str]) -> Question | None:
    """
    Read FLOW, None if it was left out.

    :raises CommandError: if it is none.
    """
    if not words:
        return None
    try:
        return parse_flow(" ".join(words))
    except FlowError as error:
        raise CommandError(str(error), error.hint, ExitCode.WRONG_USAGE) from error


def tell_problems(problems: Sequence[Problem], *, every: bool = False) -> None:
    """List on standard error what was not understood or contradicts itself: the first few, or all."""
    shown = problems if every else problems[:MOST_PROBLEMS]
    for problem in shown:
        tell(f"problem: {problem_line(problem)}")
    if len(shown) < len(problems):
        tell(f"{counted(len(problems) - len(shown), 'more problem')}; --problems lists all")


def _is_flow(text: str) -> bool:
    try:
        parse_flow(text)
    except FlowError:
        return False
    return True
