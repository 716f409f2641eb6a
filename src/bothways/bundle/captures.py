"""
The captures of a bundle: ``hosts/HOST/captures/NETNS/DEVICE.pcap`` or its like, and ``DEVICE.capture.json``.

``.pcap``, ``.pcapng``, these with ``.gz``, and ``.txt``: where the same device has several, the first of them
is read, and the others count as renderings of it. What a file is its first bytes say, whatever its name is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bothways.bundle.folder import Folder
from bothways.capture.capture_file import read_capture_file
from bothways.capture.order import backwards
from bothways.capture.tcpdump_text import read_tcpdump_text
from bothways.facts.sighting import Capture, Tap
from bothways.facts.snapshot import Netns
from bothways.facts.span import Kind, Span
from bothways.parse.ip_json import parse_addr

__all__ = ["read_captures"]

_META: Final = ".capture.json"
_TEXT: Final = ".txt"
_BINARY: Final = (".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz")
_ENDINGS: Final = (_META, _TEXT, *_BINARY)
_LINKS: Final = "link.json"


@dataclass(frozen=True, slots=True)
class _Meta:
    """What ``DEVICE.capture.json`` says; None = not said."""

    filter: str | None = None
    snaplen: int | None = None
    started: float | None = None
    stopped: float | None = None
    captured: int | None = None
    received: int | None = None
    dropped: int | None = None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _moment(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _read_meta(folder: Folder, name: str) -> _Meta:
    text = folder.text(name)
    if text is None:
        return _Meta()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        folder.problem(Kind.MALFORMED, Span(name, line=line), f"not JSON: {str(error).lower()}")
        return _Meta()
    if not isinstance(data, dict):
        folder.problem(Kind.MALFORMED, Span(name, line=1), "a JSON object is expected")
        return _Meta()
    view = data.get("filter")
    meta = _Meta(
        view if isinstance(view, str) else None,
        _count(data.get("snaplen")),
        _moment(data.get("started")),
        _moment(data.get("stopped")),
        _count(data.get("captured")),
        _count(data.get("received")),
        _count(data.get("dropped")),
    )
    for key in _Meta.__slots__:
        if data.get(key) is not None and getattr(meta, key) is None:
            message = f"`{key}` of a capture cannot be `{data[key]}`"
            folder.problem(Kind.MALFORMED, Span(name, line=1, text=text.split("\n")[0]), message)
    return meta


def _names(folder: Folder, netns: Netns | None, place: str) -> Mapping[int, str] | None:
    """Device names by ifindex: of the devices' dump, or of ``link.json`` where only that was collected."""
    if netns is not None and netns.devices is not None:
        return {device.index: device.name for device in netns.devices}
    links = folder.text(f"{place}/{_LINKS}")
    if links is None:
        return None
    return {device.index: device.name for device in parse_addr(links, file=_LINKS).rows}


def _read_binary(folder: Folder, file: str, tap: Tap, netns: Netns | None) -> tuple[Capture, ...]:
    data = folder.data(file)
    if data is None:
        return (Capture(tap, (), file),)
    names = _names(folder, netns, f"hosts/{tap.host}/netns/{tap.netns}")
    captures, problems = read_capture_file(data, tap=tap, file=file, names=names)
    folder.problems.extend(problems)
    return captures


def _read_text(folder: Folder, file: str, tap: Tap) -> Capture:
    read = read_tcpdump_text(folder.text(file) or "", tap=tap, file=file)
    folder.problems.extend(read.problems)
    return Capture(
        tap,
        read.sightings,
        file,
        snaplen=read.snaplen,
        captured=read.captured,
        received=read.received,
        dropped=read.dropped,
        textual=True,
    )


def _described(capture: Capture, meta: _Meta, *, alone: bool) -> Capture:
    """
    Add what the capture's own description says; it outranks the file itself.

    :param alone: False for one of several taps of a file, to which its counts do not belong.
    """
    keys = _Meta.__slots__ if alone else ("filter", "snaplen", "started", "stopped")
    said = {key: getattr(meta, key) for key in keys if getattr(meta, key) is not None}
    return replace(capture, **said)


def _read_device(folder: Folder, tap: Tap, place: str, netns: Netns | None) -> tuple[Capture, ...]:
    """The captures in the first of a device's files that is there."""
    stem = f"{place}/{tap.device}"
    file = next((f for f in (f"{stem}{end}" for end in (*_BINARY, _TEXT)) if folder.has(f)), None)
    meta = f"{stem}{_META}"
    if file is None:
        message = f"this describes a capture at {tap} that is not here"
        folder.problem(Kind.UNREADABLE, Span(meta), message)
        return ()
    if file.endswith(_TEXT):
        captures: tuple[Capture, ...] = (_read_text(folder, file, tap),)
    else:
        captures = _read_binary(folder, file, tap, netns)
    for capture in captures:
        folder.problems.extend(backwards(capture.sightings))
    said = _read_meta(folder, meta)
    return tuple(_described(capture, said, alone=len(captures) == 1) for capture in captures)


def _once(folder: Folder, captures: Sequence[Capture]) -> Iterator[Capture]:
    """
    Captures without those of a tap that another file holds too.

    The same packet in two files would look as if it had been sent twice. The file that is named after the tap
    counts.
    """
    kept: dict[Tap, Capture] = {}
    for capture in captures:
        other = kept.get(capture.tap)
        if other is None:
            kept[capture.tap] = capture
            continue
        own = f"/{capture.tap.netns}/{capture.tap.device}." in capture.source
        left, used = (other, capture) if own else (capture, other)
        kept[capture.tap] = used
        message = f"packets at `{capture.tap}` are in `{used.source}` too, which counts; these are left out"
        folder.problem(Kind.CONTRADICTION, Span(left.source), message)
    yield from kept.values()


def read_captures(folder: Folder, host: str, netns: Mapping[str, Netns]) -> Iterator[Capture]:
    """
    Read all captures of one host, in the order of their files. Problems go to *folder*.

    :param netns: the host's namespaces; their devices name what a cooked capture knows by number only.
    """
    captures: list[Capture] = []
    for space in folder.below("hosts", host, "captures"):
        place = f"hosts/{host}/captures/{space}"
        devices: dict[str, None] = {}
        for name in folder.below("hosts", host, "captures", space):
            end = next((end for end in _ENDINGS if name.endswith(end)), None)
            if end is not None:
                devices[name.removesuffix(end)] = None
        for device in devices:
            tap = Tap(host, space, device)
            captures.extend(_read_device(folder, tap, place, netns.get(space)))
    yield from _once(folder, captures)
