"""
Open a bundle: read every file of the folder whose format is known, and put the facts together.

Damaged evidence is a problem with its place, and what is left is used. Only a folder that is no bundle is
an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from bothways.bundle.ages import Ages
from bothways.bundle.archive import open_archive
from bothways.bundle.captures import read_captures
from bothways.bundle.content import Bundle
from bothways.bundle.dumps import DumpReader, read_netns
from bothways.bundle.error import BundleError
from bothways.bundle.folder import Folder, open_folder
from bothways.bundle.kernel_traces import read_traces
from bothways.bundle.manifest import read_manifest
from bothways.bundle.switch import read_switch
from bothways.facts.kernel_stack import KernelStack
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.sighting import Capture
from bothways.facts.snapshot import Host, Member, Netns, Segment, Snapshot
from bothways.facts.span import Kind, Problem
from bothways.parse.collection import parse_collection
from bothways.parse.kernel_stack import parse_kernel_stacks

__all__ = ["open_bundle"]

_HOSTS: Final = "hosts"
_COLLECTION: Final = "collection.jsonl"
#: How a path below ``hosts/HOST/`` begins where evidence lies.
_PLACES: Final = frozenset({"netns", "ovs", "captures", "trace"})


def _ages(folder: Folder) -> Ages:
    text = folder.text(_COLLECTION)
    if text is None:
        return Ages()
    parsed = parse_collection(text, file=_COLLECTION)
    folder.problems.extend(parsed.problems)
    return Ages(parsed.rows)


def _host(reader: DumpReader, name: str) -> Host:
    folder = reader.folder
    spaces = (*folder.below(_HOSTS, name, "netns"), *folder.below(_HOSTS, name, "captures"))
    kernel = folder.text(f"{_HOSTS}/{name}/kernel.txt")
    return Host(
        name,
        {space: read_netns(reader, name, space) for space in sorted(set(spaces))},
        read_switch(reader, name),
        None if kernel is None else kernel.strip(),
    )


def _stacks(folder: Folder, host: str) -> Iterator[KernelStack]:
    for name in folder.below(_HOSTS, host, "trace"):
        file = f"{_HOSTS}/{host}/trace/{name}"
        text = folder.text(file) if name.endswith(".txt") and folder.has(file) else None
        if text is not None:
            parsed = parse_kernel_stacks(text, file=file, host=host)
            folder.problems.extend(parsed.problems)
            yield from parsed.rows


def _unknown(member: Member, hosts: Mapping[str, Host]) -> str | None:
    """Why the dumps know no such member; None if they do, or if they do not tell."""
    host = hosts.get(member.host)
    if host is None:
        return f"no host `{member.host}` is in the bundle"
    netns: Netns | None = host.netns.get(member.netns)
    if netns is None:
        collected = any(space.devices is not None for space in host.netns.values())
        return f"nothing of the namespace `{member.netns}` was collected" if collected else None
    if netns.devices is None or netns.device(member.device) is not None:
        return None
    return f"`{netns.devices.file}` has no device `{member.device}`"


def _checked(folder: Folder, segments: tuple[Segment, ...], hosts: Mapping[str, Host]) -> Iterator[Segment]:
    """The segments without members that the dumps know not to exist."""
    for segment in segments:
        known: list[Member] = []
        for member in segment.members:
            why = _unknown(member, hosts)
            if why is None:
                known.append(member)
            else:
                message = f"member `{member}` of segment `{segment.name}` is unknown: {why}"
                folder.problem(Kind.CONTRADICTION, segment.span, message)
        yield replace(segment, members=tuple(known))


def _unread(folder: Folder) -> Iterator[str]:
    for name in folder.files:
        parts = name.split("/")
        if parts[0] == _HOSTS and parts[2:3] and parts[2] in _PLACES and name not in folder.used:
            yield name


def _in_file_order(problems: list[Problem]) -> tuple[Problem, ...]:
    def place(problem: Problem) -> tuple[list[str], int]:
        span = problem.span
        return span.file.split("/"), span.line or span.frame or 0

    return tuple(dict.fromkeys(sorted(problems, key=place)))


def open_bundle(path: Path) -> Bundle:
    """
    Open a bundle.

    :param path: the folder that holds ``bundle.toml`` and ``hosts/``, or an archive of it.
    :returns: everything that was understood; ``problems`` says what was not.
    :raises BundleError: if *path* is neither folder nor archive, holds no evidence below ``hosts/``, or its
        ``bundle.toml`` is not TOML or of another format version.
    """
    folder = open_archive(path) if path.is_file() else open_folder(path)
    manifest = read_manifest(folder)
    names = [name for name in folder.below(_HOSTS) if folder.below(_HOSTS, name)]
    if not names:
        raise BundleError(
            f"`{path}` holds no evidence: nothing lies below `{_HOSTS}/HOST/`",
            "put what the commands printed there, docs/reference/bundle.md names the files",
        )
    reader = DumpReader(folder, _ages(folder), manifest.partial or {})
    hosts = {name: _host(reader, name) for name in names}
    captures: list[Capture] = []
    stacks: list[KernelStack] = []
    traces: list[KernelTrace] = []
    for name, host in hosts.items():
        captures.extend(read_captures(folder, name, host.netns))
        stacks.extend(_stacks(folder, name))
        traces.extend(read_traces(folder, name))
    segments = tuple(_checked(folder, manifest.segments, hosts))
    return Bundle(
        path.resolve().name,
        manifest.title,
        manifest.question,
        Snapshot(hosts, segments),
        tuple(captures),
        tuple(stacks),
        _in_file_order(folder.problems),
        tuple(folder.files),
        tuple(_unread(folder)),
        tuple(traces),
    )
