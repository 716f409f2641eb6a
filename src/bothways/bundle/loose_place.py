"""
Places of loose evidence: by options, by what a terminal's prompts say, by file names, and by asking.

A file's name tells its place only where it can mean one thing: a host that other evidence names, and a device
that one namespace of it has. What is left over is of one machine, if it can be; else it is asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from bothways.bundle.error import BundleError
from bothways.bundle.item import OF_A_BRIDGE, Item
from bothways.bundle.place import ROOT, Place, Said
from bothways.parse.ip_text import parse_addr_text

__all__ = ["HERE", "place_items"]

#: The host of evidence that names none, if all of it can be of one machine.
HERE: Final = "here"
_BUNDLE_PATH: Final = re.compile(
    r"(?:^|/)hosts/(?P<host>[^/]+)/(?:(?:captures|netns)/(?P<netns>[^/]+)/(?P<name>[^/]+)"
    r"|ovs/(?P<bridge>[^/]+)|kernel\.txt)\Z"
)
_ENDINGS: Final = re.compile(
    r"(?:\.(?:pcap|pcapng|cap|txt|log|json|jsonl|gz|flows|ports|fdb|groups|tlv-map|dump|out|md))+\Z",
    re.IGNORECASE,
)
_SEPARATORS: Final = "-_.:@+, "
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z")
_MOST_ASKED: Final = 12


def place_items(items: Sequence[Item], said: Sequence[Said]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """
    Give every item its place.

    :returns: the items that have one, and outputs of a text that have none.
    :raises BundleError: if a whole file has none, if nothing has one, or if an option means no file; the hint
        holds the options to add.
    """
    rows = [_written(item, items) for item in _told(_short(items), said)]
    rows = _by_names(rows)
    rows = _of_one_machine(rows)
    good = tuple(row for row in rows if row.complete)
    left = tuple(row for row in rows if not row.complete)
    if any(row.piece is None for row in left) or (left and not any(row.evidence for row in good)):
        raise _question(left)
    return good, left


def _question(left: Sequence[Item]) -> BundleError:
    shown = ", ".join(item.shown for item in left[:_MOST_ASKED])
    more = f" and {len(left) - _MOST_ASKED} more" if len(left) > _MOST_ASKED else ""
    verb = "has" if len(left) == 1 else "have"
    options = " ".join(dict.fromkeys(item.option for item in left[:_MOST_ASKED]))
    hint = f"add {options}"
    file = left[0].file
    if len(left) > 1 and all(item.file == file and item.moved(Place("HOST")).complete for item in left):
        hint = f"if all of it is of one host, add --place HOST={file}; else add {options}"
    return BundleError(f"nothing says where {shown}{more} {verb} been taken", hint)


def _told(items: Iterable[Item], said: Sequence[Said]) -> list[Item]:
    rows = list(items)
    used: set[str] = set()
    names = Counter(PurePath(file).name for file in {item.file for item in rows})
    for option in said:
        for number, item in enumerate(rows):
            same = item.file == option.file or PurePath(item.file) == PurePath(option.file)
            alone = PurePath(item.file).name == option.file and names[option.file] == 1
            if not (same or alone) or (option.line is not None and not item.covers(option.line)):
                continue
            if option.capture != item.capture and (option.capture or item.place.device is None):
                continue
            # Without a line, an option speaks of what its file leaves open.
            if option.line is None and item.piece is not None and item.complete:
                used.add(option.text)
                continue
            rows[number] = item.moved(option.place).placed(Place(netns=ROOT))
            used.add(option.text)
    for option in said:
        if option.text not in used:
            what = "capture" if option.capture else "dump"
            place = "" if option.line is None else f" at line {option.line}"
            raise BundleError(
                f"`{option.text}` names no evidence: there is no {what} in `{option.file}`{place}",
                "name the file among the others, and the line of the command or of its output",
            )
    return rows


def _short(items: Sequence[Item]) -> list[Item]:
    """``host1.example.org`` and ``host1`` are one machine if both are named."""
    hosts = {item.place.host for item in items if item.place.host}
    short = {
        host: host.partition(".")[0]
        for host in hosts
        if "." in host and not _ADDRESS.match(host) and host.partition(".")[0] in hosts
    }
    return [item.moved(Place(short[item.place.host])) if item.place.host in short else item for item in items]


def _written(item: Item, items: Sequence[Item]) -> Item:
    """A capture that another command wrote (``tcpdump -w FILE``) ran where that command did."""
    opened = None
    if item.kind == "pcap":
        opened = PurePath(item.file).name
    elif item.piece is not None and item.piece.command is not None and item.piece.command.output is not None:
        opened = item.piece.command.output.opened
        opened = None if opened is None or item.kind != "tcpdump" else PurePath(opened).name
    if opened is None or item.complete:
        return item
    found = [
        row
        for row in items
        if row.kind == "wrote" and row.view is not None and PurePath(row.view).name == opened
    ]
    places = {row.place for row in found}
    if len(places) != 1:
        return item
    return replace(item.placed(found[0].place), filter=found[0].filter if item.kind == "pcap" else None)


def _devices(items: Sequence[Item]) -> Mapping[tuple[str, str], frozenset[str]]:
    """(host, namespace) -> the devices that evidence with a place names there."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for item in items:
        host, netns = item.place.host, item.place.netns
        if host is None or netns is None or item.switch:
            continue
        names: Iterable[str] = ()
        if item.kind == "addr":
            names = (
                re.findall(r'"ifname"\s*:\s*"([^"]+)"', item.text)
                if item.json
                else (row.name for row in parse_addr_text(item.text, file="").rows)
            )
        elif item.capture and item.place.device:
            names = (item.place.device,)
        found[host, netns] = found.get((host, netns), frozenset()) | frozenset(names)
    return found


def _by_names(items: list[Item]) -> list[Item]:
    devices = _devices(items)
    hosts = sorted({item.place.host for item in items if item.place.host}, key=len, reverse=True)
    spaces = {netns for _, netns in devices if netns != ROOT}
    return [item if item.complete or item.piece else _named(item, hosts, spaces, devices) for item in items]


def _named(
    item: Item, hosts: Sequence[str], spaces: Iterable[str], devices: Mapping[tuple[str, str], frozenset[str]]
) -> Item:
    path = PurePath(item.file).as_posix()
    inside = _BUNDLE_PATH.search(path)
    if inside is not None:
        name = inside["name"] or inside["bridge"] or ""
        bare = _ENDINGS.sub("", name)
        device = bare if item.capture or item.kind == "ports" or item.kind in OF_A_BRIDGE else None
        return item.placed(Place(inside["host"], inside["netns"] or ROOT, device))
    parts = [_ENDINGS.sub("", part) for part in PurePath(path).parts[-3:]]
    host = next((h for h in hosts if any(_begins(part, h) for part in parts)), None)
    if host is None:
        return item.placed(Place(device=_bridge(item, parts[-1])))
    rest = [_without(part, host) for part in parts]
    known = [netns for netns in spaces if (host, netns) in devices]
    netns = next((n for n in known if any(_token(n).search(part) for part in rest)), None)
    if not item.capture:
        whole = netns or (ROOT if not rest[-1].strip(_SEPARATORS) or item.switch else None)
        return item.placed(Place(host, whole or item.place.netns, _bridge(item, rest[-1])))
    rest = [_token(netns).sub("", part).strip(_SEPARATORS) for part in rest] if netns else rest
    last = rest[-1].strip(_SEPARATORS)
    owners = [
        (space, name)
        for (owner, space), names in devices.items()
        for name in names
        if owner == host and netns in (None, space) and _token(name).search(last)
    ]
    best = max((len(name) for _, name in owners), default=0)
    owners = [(space, name) for space, name in owners if len(name) == best]
    if len(set(owners)) == 1:
        return item.placed(Place(host, *owners[0]))
    if last == "any" and not owners:
        return item.placed(Place(host, netns or ROOT, "any"))
    return item.placed(Place(host, netns))


def _bridge(item: Item, words: str) -> str | None:
    """The bridge in a file's name: ``br-int``; of flows only."""
    if item.kind not in OF_A_BRIDGE and item.kind != "ports":
        return None
    found = re.findall(r"\bbr-?[a-z0-9][\w-]*?(?=[_.]|-flows|-ports|-fdb|-groups|-tlv-map|\Z)", words)
    return found[0] if len(found) == 1 else None


def _begins(part: str, host: str) -> bool:
    return part == host or (part.startswith(host) and part[len(host)] in _SEPARATORS)


def _without(part: str, host: str) -> str:
    return part[len(host) :].strip(_SEPARATORS) if _begins(part, host) else part


def _token(word: str) -> re.Pattern[str]:
    """A word between separators."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])")


def _of_one_machine(items: list[Item]) -> list[Item]:
    """
    Where nothing names a host: ``here``, if all evidence is one file, or one stretch of a terminal.

    Prose between two commands, and a second file, may lead to another machine; that is asked.
    """
    evidence = [item for item in items if item.evidence]
    if any(item.place.host for item in evidence):
        return items
    if len({(item.file, None if item.piece is None else item.section) for item in evidence}) != 1:
        return items
    guessed = [_at(item, HERE) if item.evidence else item for item in items]
    # What still lacks a bridge or a device is asked for together with everything else.
    return guessed if all(item.complete for item in guessed) else items


def _at(item: Item, host: str) -> Item:
    known = item.place
    netns = known.netns
    device = known.device
    if item.piece is None or item.piece.command is None:
        netns = netns or ROOT
        if item.capture and device is None:
            stem = _ENDINGS.sub("", PurePath(item.file).name)
            device = stem if re.fullmatch(r"[\w.@-]{1,15}", stem) and item.kind == "pcap" else "any"
    return item.moved(Place(host, netns, device))
