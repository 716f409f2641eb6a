"""
``bundle.toml``: the title, the question, wires that no dump names, and dumps that are filtered views.

The format line and the TOML itself must be right. Anything else that cannot be used is a problem with its
line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.bundle.error import BundleError
from bothways.bundle.folder import Folder
from bothways.facts.address import IPAddress, address
from bothways.facts.question import Question
from bothways.facts.snapshot import Member, Segment
from bothways.facts.span import Kind, Span

__all__ = ["FORMAT", "Manifest", "read_manifest"]

FORMAT: Final = "bothways-bundle/1"
_FILE: Final = "bundle.toml"
_PROTOCOLS: Final = frozenset({"tcp", "udp", "icmp"})
_MAX_PORT: Final = 0xFFFF
_MEMBER: Final = re.compile(r"(?P<host>[^/:]+)(?:/(?P<netns>[^:]+))?:(?P<device>\S+)")
_AT_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_KNOWN: Final = frozenset({"format", "title", "question", "segments", "partial"})
#: table -> what may stand in it
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "question": ("protocol", "source", "source_port", "destination", "destination_port"),
    "segments": ("name", "members"),
    "partial": ("file", "filter"),
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    What ``bundle.toml`` says.

    :param partial: file inside the bundle -> the filter of the view.
    """

    title: str
    question: Question | None = None
    segments: tuple[Segment, ...] = ()
    partial: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    folder: Folder
    lines: tuple[str, ...]

    def span(self, pattern: str, ordinal: int = 0) -> Span:
        """The line of the ordinal-th match of a pattern, or the file."""
        found = [n for n, line in enumerate(self.lines, start=1) if re.match(pattern, line)]
        if ordinal >= len(found):
            return Span(_FILE)
        return Span(_FILE, line=found[ordinal], text=self.lines[found[ordinal] - 1])

    def within(self, header: Span, quoted: str) -> Span:
        """The first line behind a header that holds a piece of text, or the header's."""
        for number in range(header.line or len(self.lines), len(self.lines)):
            if quoted in self.lines[number]:
                return Span(_FILE, line=number + 1, text=self.lines[number])
        return header

    def unknown(self, table: str, row: Mapping[str, object], header: Span) -> None:
        """Tell what stands in a table and means nothing there."""
        for key in sorted(row.keys() - set(_KEYS[table])):
            message = f"`{key}` is not known in `{table}`, expected {', '.join(_KEYS[table])}"
            self.folder.problem(Kind.UNMODELLED, self.within(header, key), message)

    def malformed(self, span: Span, message: str, hint: str = "") -> None:
        self.folder.problem(Kind.MALFORMED, span, message, hint)


def _tables(
    source: _Source, data: Mapping[str, object], name: str
) -> Iterator[tuple[Mapping[str, object], Span]]:
    """The tables of ``[[name]]`` with the line of each header."""
    rows = data.get(name, [])
    if not isinstance(rows, list):
        source.malformed(source.span(rf"\s*\[?\s*{name}\b"), f"`{name}` must be written as `[[{name}]]`")
        return
    for ordinal, row in enumerate(rows):
        span = source.span(rf"\s*\[\[\s*{name}\s*\]\]", ordinal)
        if isinstance(row, dict):
            source.unknown(name, row, span)
            yield row, span
        else:
            source.malformed(span, f"`{name}` must be written as `[[{name}]]`")


def _members(source: _Source, row: Mapping[str, object], span: Span) -> Iterator[Member]:
    members = row.get("members")
    if members is None:
        source.malformed(span, "a wire needs `members`, a list of HOST:DEVICE or HOST/NETNS:DEVICE")
        return
    if not isinstance(members, list):
        source.malformed(span, "`members` must be a list")
        return
    for text in members:
        found = _MEMBER.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            place = source.within(span, str(text))
            source.malformed(place, f"`{text}` is not a member, write HOST:DEVICE or HOST/NETNS:DEVICE")
        else:
            yield Member(found["host"], found["netns"] or "root", found["device"])


def _segments(source: _Source, data: Mapping[str, object]) -> Iterator[Segment]:
    for ordinal, (row, span) in enumerate(_tables(source, data, "segments"), start=1):
        name = row.get("name")
        shown = name if isinstance(name, str) and name else f"segment {ordinal}"
        yield Segment(shown, tuple(dict.fromkeys(_members(source, row, span))), span)


def _partial(source: _Source, data: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row, span in _tables(source, data, "partial"):
        file, view = row.get("file"), row.get("filter", "")
        if not isinstance(file, str) or not isinstance(view, str):
            source.malformed(span, "`[[partial]]` needs `file` and `filter` as text")
            continue
        name = file.removeprefix("./")
        if not source.folder.has(name):
            source.malformed(
                source.within(span, file), f"`{file}` is said to be a filtered view and is not here"
            )
        found[name] = view
    return found


def _endpoint(
    source: _Source, question: Mapping[str, object], header: Span, name: str
) -> tuple[IPAddress | None, int | None]:
    text, port = question.get(name), question.get(f"{name}_port")
    where = source.within(header, name)
    host: IPAddress | None = None
    try:
        host = address(text) if isinstance(text, str) else None
    except ValueError:
        source.malformed(where, f"`{text}` is not an address")
    if not isinstance(text, str):
        source.malformed(where, f"the question needs `{name}`, an address in quotes")
    if port is not None and (
        isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _MAX_PORT
    ):
        source.malformed(source.within(header, f"{name}_port"), f"`{port}` is not a port")
        return None, None
    return host, port


def _question(source: _Source, data: Mapping[str, object]) -> Question | None:
    question = data.get("question")
    if question is None:
        return None
    header = source.span(r"\s*\[?\s*question\b")
    if not isinstance(question, dict):
        source.malformed(header, "`question` must be written as `[question]`")
        return None
    source.unknown("question", question, header)
    protocol = question.get("protocol", "tcp")
    if protocol not in _PROTOCOLS:
        source.malformed(source.within(header, "protocol"), f"`{protocol}` is not one of tcp, udp, icmp")
        return None
    before = len(source.folder.problems)
    client, client_port = _endpoint(source, question, header, "source")
    server, server_port = _endpoint(source, question, header, "destination")
    if client is None or server is None or len(source.folder.problems) > before:
        return None
    return Question(str(protocol), client, server, server_port, client_port)


def _title(source: _Source, data: Mapping[str, object]) -> str:
    title = data.get("title", source.folder.root.resolve().name)
    if isinstance(title, str):
        return title
    source.malformed(source.span(r"\s*title\b"), "`title` must be text in quotes")
    return str(title)


def _load(folder: Folder, text: str) -> Mapping[str, object]:
    shown = folder.root / _FILE
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) or "nested too deeply"
        found = _AT_LINE.search(reason)
        line = int(found[1]) if found else text.count("\n") + 1
        bare = _AT_LINE.sub("", reason).removesuffix("(at end of document)").strip()
        raise BundleError(f"{shown}:{line}: not TOML: {bare[:1].lower()}{bare[1:]}") from error
    version = data.get("format")
    if version is None:
        raise BundleError(f'{shown}:1: no `format`, expected `format = "{FORMAT}"`')
    if version != FORMAT:
        source = _Source(folder, tuple(text.split("\n")))
        line = source.span(r"\s*format\b").line or 1
        hint = "it was written for another version of bothways"
        raise BundleError(f"{shown}:{line}: format `{version}` is not read, only `{FORMAT}`", hint)
    return data


def read_manifest(folder: Folder) -> Manifest:
    """
    Read ``bundle.toml``; without one the folder's name is the title.

    :raises BundleError: if it is no TOML, or of another format version.
    """
    text = folder.text(_FILE)
    if text is None:
        return Manifest(folder.root.resolve().name)
    data = _load(folder, text)
    source = _Source(folder, tuple(line.removesuffix("\r") for line in text.split("\n")))
    for key in sorted(data.keys() - _KNOWN):
        span = source.span(rf"\s*\[*\s*{re.escape(key)}\b")
        folder.problem(Kind.UNMODELLED, span, f"`{key}` is not known in bundle.toml and says nothing here")
    return Manifest(
        _title(source, data),
        _question(source, data),
        tuple(_segments(source, data)),
        _partial(source, data),
    )
