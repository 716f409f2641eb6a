"""Two call stacks beside each other, and where they part: as text, and as ``bothways/stack-diff/1``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bothways.correlate.kernel_stack_diff import StackDiff
from bothways.report.json import JsonObject
from bothways.report.words import plain

__all__ = ["SCHEMA", "NamedStack", "parting_sentence", "render_stack_diff", "stack_diff_json"]

SCHEMA: Final = "bothways/stack-diff/1"
_BOLD, _OFF = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class NamedStack:
    """A stack with what it is called: the file and what was chosen in it. *frames* are innermost first."""

    name: str
    frames: tuple[str, ...]


def render_stack_diff(first: NamedStack, second: NamedStack, diff: StackDiff, *, colour: bool = False) -> str:
    """Return both stacks side by side, outermost function first, and the sentence."""
    lines = [f"A  {plain(first.name)}", f"B  {plain(second.name)}", "", "  outermost function first"]
    pairs = list(_pairs(diff))
    wide = max((len(one) for _, one, _ in pairs), default=0)
    for row, one, other in pairs:
        apart = row == diff.parting
        text = f"{'>' if apart else ' '} {plain(one):<{wide}}  {plain(other)}".rstrip()
        lines.append(f"{_BOLD}{text}{_OFF}" if apart and colour else text)
    lines += ["", parting_sentence(diff)]
    return "".join(f"{line}\n" for line in lines)


def _pairs(diff: StackDiff) -> Iterator[tuple[int, str, str]]:
    for number, row in enumerate(diff.rows):
        yield from ((number, name, name) for name in row.both)
        for index in range(max(len(row.first), len(row.second))):
            one = row.first[index] if index < len(row.first) else "-"
            other = row.second[index] if index < len(row.second) else "-"
            yield number, one, other


def parting_sentence(diff: StackDiff) -> str:
    """Say where they part, in one sentence."""
    parts = diff.parts
    if parts is None:
        if all(row.both for row in diff.rows):
            return "they do not part: both are the same"
        inner = diff.rows[-1]
        if len(diff.rows) > 1 and inner.first and not inner.second:
            return f"they do not part: A goes on into {inner.first[0]} where B ends"
        if len(diff.rows) > 1 and inner.second and not inner.first:
            return f"they do not part: B goes on into {inner.second[0]} where A ends"
        return "they do not part: one of them only names functions that the other leaves out"
    said = [
        f"{letter} goes to {name}{f' ({meant})' if meant else ''}"
        for letter, name, meant in zip("AB", parts, diff.meanings, strict=True)
    ]
    after = "at once" if diff.last_common is None else f"after {diff.last_common}"
    return f"they part {after}: {', '.join(said)}"


def stack_diff_json(first: NamedStack, second: NamedStack, diff: StackDiff) -> JsonObject:
    """Return the comparison; keys are in the order of the contract."""
    parts = diff.parts
    parting: JsonObject | None = None
    if parts is not None:
        one, other = diff.meanings
        parting = {
            "after": diff.last_common,
            "first": parts[0],
            "second": parts[1],
            "first_means": one,
            "second_means": other,
        }
    return {
        "schema": SCHEMA,
        "first": {"name": first.name, "frames": list(first.frames)},
        "second": {"name": second.name, "frames": list(second.frames)},
        "rows": [
            {"both": list(row.both), "first": list(row.first), "second": list(row.second)}
            for row in diff.rows
        ],
        "parting": parting,
        "sentence": parting_sentence(diff),
    }
