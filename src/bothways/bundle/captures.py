"""
The captures of a bundle: ``hosts/HOST/captures/NETNS/DEVICE.pcap`` or ``.txt``, and ``DEVICE.capture.json``.

Where the same device has both, the pcap is read and the text counts as a rendering of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.bundle.folder import Folder
from bothways.capture.order import backwards
from bothways.capture.pcap import read_pcap
from bothways.capture.tcpdump_text import read_tcpdump_text
from bothways.facts.sighting import Capture, Tap
from bothways.facts.snapshot import Netns
from bothways.facts.span import Kind, Span

__all__ = ["read_captures"]

_META: Final = ".capture.json"
_PCAP: Final = ".pcap"
_TEXT: Final = ".txt"


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


def _names(netns: Netns | None) -> Mapping[int, str] | None:
    if netns is None or netns.devices is None:
        return None
    return {device.index: device.name for device in netns.devices}


def _read_pcap(folder: Folder, file: str, tap: Tap, netns: Netns | None) -> Capture:
    data = folder.data(file)
    if data is None:
        return Capture(tap, (), file)
    sightings, problems = read_pcap(data, tap=tap, file=file, names=_names(netns))
    folder.problems.extend(problems)
    return Capture(tap, sightings, file)


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


def _described(capture: Capture, meta: _Meta) -> Capture:
    """Add what the capture's own description says; it outranks the footer of a text."""
    said = {key: getattr(meta, key) for key in _Meta.__slots__ if getattr(meta, key) is not None}
    return replace(capture, **said)


def read_captures(folder: Folder, host: str, netns: Mapping[str, Netns]) -> Iterator[Capture]:
    """
    Read all captures of one host, in the order of their files. Problems go to *folder*.

    :param netns: the host's namespaces; their devices name what a cooked capture knows by number only.
    """
    for space in folder.below("hosts", host, "captures"):
        place = f"hosts/{host}/captures/{space}"
        names = folder.below("hosts", host, "captures", space)
        devices = {
            n.removesuffix(end): None for n in names for end in (_PCAP, _TEXT, _META) if n.endswith(end)
        }
        for device in devices:
            tap = Tap(host, space, device)
            file = next(
                (f for f in (f"{place}/{device}{end}" for end in (_PCAP, _TEXT)) if folder.has(f)), None
            )
            meta = f"{place}/{device}{_META}"
            if file is None:
                message = f"this describes a capture at {tap} that is not here"
                if not folder.has(f"{place}/{device}.pcapng"):
                    folder.problem(Kind.UNREADABLE, Span(meta), message)
                continue
            capture = (
                _read_pcap(folder, file, tap, netns.get(space))
                if file.endswith(_PCAP)
                else _read_text(folder, file, tap)
            )
            folder.problems.extend(backwards(capture.sightings))
            yield _described(capture, _read_meta(folder, meta))
