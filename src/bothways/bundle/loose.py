"""
Evidence as people have it: captures, dumps and pasted terminals, one by one or in a folder.

What is read is what a bundle of the same evidence would give; only the names of files differ, which are those
that the user gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bothways.bundle.content import Bundle
from bothways.bundle.error import BundleError
from bothways.bundle.folder import open_folder
from bothways.bundle.item import Item
from bothways.bundle.loose_captures import read_loose_captures
from bothways.bundle.loose_file import is_capture, read_items
from bothways.bundle.loose_hosts import original, read_hosts
from bothways.bundle.loose_place import place_items
from bothways.bundle.open import open_bundle
from bothways.bundle.place import read_places
from bothways.bundle.requote import requote
from bothways.facts.kernel_stack import KernelStack
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.kernel_event import parse_kernel_trace
from bothways.parse.kernel_stack import parse_kernel_stacks
from bothways.parse.kernel_trace import joined, runs_of

__all__ = ["open_evidence"]

_ARCHIVES: Final = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst", ".zip")
_TRACE: Final = "kernel-trace"
#: What lies at the top of a bundle.
_BUNDLE: Final = ("bundle.toml", "hosts")
#: Larger files are no pasted text, and a capture of this size would not fit into memory.
_LARGEST: Final = 2_000_000_000


def open_evidence(paths: Sequence[Path], taps: Sequence[str] = (), places: Sequence[str] = ()) -> Bundle:
    """
    Open what a user has: one bundle (a folder or an archive), or loose files in any number.

    :param taps: ``HOST/NETNS:DEVICE=FILE`` for captures whose place nothing tells.
    :param places: ``HOST/NETNS=FILE`` for dumps.
    :raises BundleError: if a file cannot be read, if none holds evidence, or if a place has to be told; the
        hint then holds the options to add.
    """
    if len(paths) == 1 and paths[0].name == "hosts" and _is_bundle(paths[0].parent):
        raise BundleError(
            f"`{paths[0]}` is a part of a bundle", f"name the folder above: `{paths[0].parent}`"
        )
    if len(paths) == 1 and _is_bundle(paths[0]):
        if taps or places:
            raise BundleError(
                f"`{paths[0]}` is a bundle: its files have their places", "leave out --tap and --place"
            )
        return open_bundle(paths[0])
    files = _files(paths)
    said = read_places(taps, places)
    items = [item for file, data in files.items() for item in read_items(file, data)]
    problems = list(_unknown(files, items))
    if not any(item.evidence for item in items):
        names = ", ".join(f"`{file}`" for file in list(files)[:5])
        raise BundleError(
            f"no evidence was found in {names}",
            "expected captures, what tools such as `ip addr` or `tcpdump` print, or a terminal with prompts",
        )
    # The lines of a trace name their host themselves.
    traces = [item for item in items if item.kind == _TRACE]
    placed, left = place_items([item for item in items if item.kind != _TRACE], said)
    return _bundle(paths, files, [*placed, *traces], [*problems, *_unplaced(left)])


def _is_bundle(path: Path) -> bool:
    if not path.exists():
        return False
    if path.is_dir():
        return any((path / name).exists() for name in _BUNDLE) or not any(path.iterdir())
    return path.name.lower().endswith(_ARCHIVES)


def _files(paths: Sequence[Path]) -> Mapping[str, bytes]:
    files: dict[str, bytes] = {}
    for path in paths:
        if path.is_dir():
            if len(paths) > 1 and _is_bundle(path):
                raise BundleError(
                    f"`{path}` is a bundle of its own", "name it alone, or name the files in it"
                )
            for name, inside in open_folder(path).files.items():
                files[(path / name).as_posix()] = _bytes(inside)
        else:
            files[path.as_posix()] = _bytes(path)
    if not files:
        raise BundleError("no evidence was named")
    return files


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise BundleError(
                f"`{path}` is larger than {_LARGEST // 10**9} GB", "cut it with editcap or tcpdump -r"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"`{path}` does not exist") from error
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise BundleError(f"`{path}` cannot be read: {reason}") from error


def _unknown(files: Mapping[str, bytes], items: Sequence[Item]) -> Iterator[Problem]:
    found = {item.file for item in items}
    for file in files:
        if file not in found:
            hint = "expected a capture, the output of a tool, or a terminal with its prompts"
            yield Problem(
                Kind.UNREADABLE, Span(file), "nothing in this file is of a format that is read", hint
            )
    for item in items:
        if item.kind == "unread" and item.piece is not None and item.piece.command is not None:
            command = item.piece.command
            better = "" if command.output is None else command.output.instead
            span = Span(item.file, line=item.piece.at, text=_lines(files[item.file])[item.piece.at - 1])
            yield Problem(
                Kind.UNMODELLED,
                span,
                f"the output of `{command.text}` is not read",
                f"run `{better}` instead",
            )


def _unplaced(items: Sequence[Item]) -> Iterator[Problem]:
    for item in items:
        span = Span(item.file, line=item.at)
        where = (
            "it ran in a container"
            if item.piece and item.piece.command and item.piece.command.container
            else ""
        )
        message = f"nothing says where this was taken ({item.name}), and it is left out"
        yield Problem(
            Kind.UNREADABLE, span, f"{message}: {where}" if where else message, f"add {item.option}"
        )


def _lines(data: bytes) -> tuple[str, ...]:
    text = data.decode(errors="replace").removeprefix("\ufeff")
    return tuple(line.removesuffix("\r") for line in text.split("\n"))


def _bundle(
    paths: Sequence[Path], files: Mapping[str, bytes], items: Sequence[Item], problems: list[Problem]
) -> Bundle:
    lines = {file: _lines(data) for file, data in files.items() if not is_capture(file, data)}
    problems = [_quoting(problem, lines) for problem in problems]
    traces = _traces([item for item in items if item.kind == _TRACE], problems)
    items = [item for item in items if item.kind != _TRACE]
    hosts = read_hosts(items, lines, problems)
    captures = read_loose_captures(items, hosts, lines, problems)
    stacks: list[KernelStack] = []
    for item in items:
        if item.kind == "stacks":
            parsed = parse_kernel_stacks(item.text, file=item.file, host=item.place.host)
            stacks.extend(requote(parsed.rows, {item.file: original(item, lines)}))
    root = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    return Bundle(
        root,
        "",
        None,
        Snapshot(hosts),
        captures,
        tuple(stacks),
        _in_order(problems, list(files)),
        tuple(files),
        traces=traces,
    )


def _traces(items: Sequence[Item], problems: list[Problem]) -> tuple[KernelTrace, ...]:
    """What kernels told, put together where a trace was rotated."""
    runs: list[KernelTrace] = []
    for item in items:
        parsed = parse_kernel_trace(item.text, file=item.file)
        problems.extend(parsed.problems)
        runs.extend(runs_of(parsed.rows, file=item.file))
    return joined(runs)


def _quoting(problem: Problem, lines: Mapping[str, tuple[str, ...]]) -> Problem:
    span = problem.span
    rows = lines.get(span.file, ())
    if span.line is None or span.line > len(rows):
        return problem
    return replace(problem, span=replace(span, text=rows[span.line - 1]))


def _in_order(problems: Sequence[Problem], files: Sequence[str]) -> tuple[Problem, ...]:
    """By file as they were named, then by line."""
    rank = {file: number for number, file in enumerate(files)}

    def place(problem: Problem) -> tuple[int, int]:
        return rank.get(problem.span.file, len(rank)), problem.span.line or problem.span.frame or 0

    return tuple(dict.fromkeys(sorted(problems, key=place)))
