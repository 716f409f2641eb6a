"""The captures among loose evidence: files of packets, and what tcpdump printed into a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bothways.bundle.item import Item
from bothways.bundle.loose_hosts import original
from bothways.bundle.place import ROOT
from bothways.bundle.requote import requote
from bothways.capture.capture_file import read_capture_file
from bothways.capture.order import backwards
from bothways.capture.tcpdump_text import read_tcpdump_text
from bothways.facts.packet import Packet
from bothways.facts.sighting import Capture, Tap
from bothways.facts.snapshot import Host
from bothways.facts.span import Kind, Problem, Span

__all__ = ["read_loose_captures"]


def read_loose_captures(
    items: Sequence[Item],
    hosts: Mapping[str, Host],
    lines: Mapping[str, tuple[str, ...]],
    problems: list[Problem],
) -> tuple[Capture, ...]:
    """
    Read all captures, in the order of the items.

    :param items: placed items of all kinds.
    :param hosts: their devices name what a cooked capture knows by number only.
    :param lines: file -> its lines as they stand.
    :param problems: what was not understood is added here.
    """
    captures: list[Capture] = []
    for item in items:
        host, device = item.place.host, item.place.device
        if not item.capture or host is None or device is None:
            continue
        tap = Tap(host, item.place.netns or ROOT, device)
        read = (
            _binary(item, tap, hosts, problems) if item.kind == "pcap" else _text(item, tap, lines, problems)
        )
        for capture in read:
            problems.extend(backwards(capture.sightings))
        captures.extend(read)
    # As in a bundle: where one tap has both, the text is a rendering of the packets.
    binary = {capture.tap for capture in captures if not capture.textual}
    left = [capture for capture in captures if not (capture.textual and capture.tap in binary)]
    return tuple(_once(left, problems))


def _once(captures: Sequence[Capture], problems: list[Problem]) -> Iterator[Capture]:
    """
    Captures without those that were given twice: the same packet of one tap would look as if sent twice.

    Two captures of one tap at other times are two; they share no packet.
    """
    kept: dict[Tap, set[tuple[int, Packet]]] = {}
    for capture in captures:
        seen = kept.setdefault(capture.tap, set())
        mine = {(s.time_ns, s.packet) for s in capture.sightings}
        if mine and mine <= seen:
            message = f"the packets of {capture.tap} were given already; these are left out"
            problems.append(Problem(Kind.CONTRADICTION, Span(capture.source), message))
            continue
        seen |= mine
        yield capture


def _binary(item: Item, tap: Tap, hosts: Mapping[str, Host], problems: list[Problem]) -> tuple[Capture, ...]:
    host = hosts.get(tap.host)
    netns = None if host is None else host.netns.get(tap.netns)
    devices = None if netns is None else netns.devices
    names = None if devices is None else {device.index: device.name for device in devices}
    captures, faults = read_capture_file(item.data, tap=tap, file=item.file, names=names)
    problems.extend(faults)
    # What an interface of a pcapng says of itself outranks what was said of the whole file.
    return tuple(replace(c, filter=item.filter) if c.filter is None else c for c in captures)


def _text(
    item: Item, tap: Tap, lines: Mapping[str, tuple[str, ...]], problems: list[Problem]
) -> tuple[Capture, ...]:
    origins = {item.file: original(item, lines)}
    read = read_tcpdump_text(item.text, tap=tap, file=item.file)
    problems.extend(requote(read.problems, origins))
    if not read.sightings and read.captured is None:
        # Nothing shows that it ran to its end.
        return ()
    capture = Capture(
        tap,
        requote(read.sightings, origins),
        item.file,
        filter=item.filter,
        snaplen=read.snaplen,
        captured=read.captured,
        received=read.received,
        dropped=read.dropped,
        textual=True,
    )
    return (capture,)
