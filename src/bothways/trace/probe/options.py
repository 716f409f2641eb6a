"""What the probe is asked to do: its command line."""

import argparse
import json
from typing import Any, Dict, List, Optional

from bothways.trace.probe.asked_netns import NoNamespace, inode_of
from bothways.trace.probe.hostns import namespaces

__all__ = ["Misused", "Options", "parse_options"]

TIERS = ("fentry", "kprobe", "raw_tracepoint", "tracefs")
STACKS = ("all", "drop", "rst", "xmit", "none")
_TERMS = 8
_LONGEST_NAME = 15  # IFNAMSIZ, and the zero
_SMALLEST_BACKLOG, _LARGEST_BACKLOG = 16 << 20, 1 << 30
_SMALLEST_RING, _LARGEST_RING = 1 << 16, 1 << 30

#: keys of a term of the filter, and how a value has to look
_NUMBER = "a number"
_PREFIX = "an address with its length, as 192.0.2.1/32"
_RANGE = "two numbers, from and to"
_KEYS = {
    "family": _NUMBER,
    "protocol": _NUMBER,
    "source": _PREFIX,
    "destination": _PREFIX,
    "host": _PREFIX,
    "source_port": _RANGE,
    "destination_port": _RANGE,
    "port": _RANGE,
    "flags_mask": _NUMBER,
    "flags_value": _NUMBER,
}


_DEVICES = "`bothways trace devices` lists namespaces and devices"


class Misused(Exception):  # noqa: N818  a sentence for the user
    """Options that cannot be meant; *hint* says what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        Exception.__init__(self, text)
        self.hint = hint


class Options:
    """
    The parsed command line.

    ``filter`` is a list of terms of which one must fit, empty for every packet; ``events`` the words of
    events, empty for all; ``netns`` inode numbers; ``timeout`` seconds.
    """

    def __init__(self, values: Dict[str, Any]) -> None:
        self.filter: List[Dict[str, Any]] = _read_filter(values["filter"])
        self.events: List[str] = [word for word in (values["profile_events"] or "").split(",") if word]
        self.stack: str = values["stack"]
        self.netns: List[int] = [_read_netns(each) for each in values["netns"]]
        self.devices: List[str] = [_read_device(each) for each in values["device"]]
        self.follow_nat: bool = values["follow_nat"]
        self.ring_size: int = _read_ring(values["ring_size"])
        self.count: Optional[int] = values["count"]
        self.timeout: Optional[float] = values["timeout"]
        self.allow_system_changes: bool = values["allow_system_changes"]
        self.tier: Optional[str] = values["tier"]
        self.stdin_close_stops: bool = values["stdin_close_stops"]
        self.backlog: int = values["backlog"] or _spare_memory()

    def problems(self) -> List[Dict[str, Any]]:
        """Tell what may be a mistake: a namespace by number that this host does not know."""
        known = {each.inode for each in namespaces()} if self.netns else set()
        return [
            {
                "text": "--netns inode:{}: no namespace of this number is found here".format(inode),
                "hint": "`bothways trace devices` lists them; one that only an open file keeps is not found",
            }
            for inode in self.netns
            if inode not in known
        ]

    def only(self) -> Dict[str, Any]:
        """Tell what a trace is narrowed to, beside its filter: what is not there may have happened."""
        asked = {"events": self.events, "netns": self.netns, "device": self.devices, "count": self.count}
        return {key: value for key, value in asked.items() if value}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise Misused(message)


def _build() -> argparse.ArgumentParser:
    parser = _Parser(prog="probe", add_help=False)
    add = parser.add_argument
    add("--filter", default="[]")
    add("--profile-events", default="")
    add("--stack", choices=STACKS, default="drop")
    add("--netns", action="append", default=[])
    add("--device", action="append", default=[])
    add("--follow-nat", dest="follow_nat", action="store_true", default=True)
    add("--no-follow-nat", dest="follow_nat", action="store_false")
    add("--ring-size", type=int, default=16 << 20)
    add("--count", type=int)
    add("--timeout", type=float)
    add("--allow-system-changes", action="store_true")
    add("--tier", choices=TIERS)
    add("--stdin-close-stops", action="store_true")
    add("--backlog", type=int)
    return parser


def parse_options(arguments: List[str]) -> Options:
    """
    Read the command line.

    :raises Misused: with what was expected.
    """
    return Options(vars(_build().parse_args(arguments)))


def _spare_memory() -> int:
    """
    Tell how many bytes of records may wait for their reader: an eighth of what is free, and 1 GiB at most.

    100,000 events in a second are 42 MB.
    """
    free = 0
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    free = int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return max(_SMALLEST_BACKLOG, min(free // 8, _LARGEST_BACKLOG))


def _read_ring(size: int) -> int:
    """Round up to what the kernel takes: a power of two, of whole pages."""
    if not _SMALLEST_RING <= size <= _LARGEST_RING:
        text = "--ring-size {}: from {} to {} bytes".format(size, _SMALLEST_RING, _LARGEST_RING)
        raise Misused(text, "16M is what it has otherwise")
    return 1 << (size - 1).bit_length()


def _read_device(glob: str) -> str:
    """Take a glob; one that no device's name can fit is a mistake."""
    if not glob:
        raise Misused("--device: a name or a glob was expected", "as 'qg-*'; " + _DEVICES)
    if not set(glob) & set("*?[") and len(glob.encode()) > _LONGEST_NAME:
        text = "--device {}: no device has a name of more than {} octets".format(glob, _LONGEST_NAME)
        raise Misused(text, _DEVICES)
    return glob


def _read_netns(text: str) -> int:
    try:
        return inode_of(text)
    except NoNamespace as error:
        raise Misused("--netns: {}".format(error), _DEVICES) from error


def _read_filter(text: str) -> List[Dict[str, Any]]:
    try:
        terms = json.loads(text)
    except ValueError as error:
        raise Misused("--filter: JSON was expected: {}".format(error)) from error
    if isinstance(terms, list):  # lists of terms stand for one
        terms = [term for each in terms for term in (each if isinstance(each, list) else [each])]
    if not isinstance(terms, list) or not all(isinstance(term, dict) for term in terms):
        raise Misused("--filter: a list of terms was expected")
    if len(terms) > _TERMS:
        raise Misused("--filter: {} terms, and the kernel part takes {}".format(len(terms), _TERMS))
    for term in terms:
        for key, value in term.items():
            if key not in _KEYS:
                raise Misused("--filter: a term has no {}; it has {}".format(key, ", ".join(sorted(_KEYS))))
            if not _fits(_KEYS[key], value):
                raise Misused("--filter: {} is {}, and not {}".format(key, _KEYS[key], json.dumps(value)))
    return terms


def _fits(wanted: str, value: Any) -> bool:
    if isinstance(value, list) and wanted == _PREFIX:
        return 1 <= len(value) <= 2 and all(_fits(wanted, each) for each in value)
    if isinstance(value, list) and wanted == _RANGE and value and isinstance(value[0], list):
        return len(value) <= 2 and all(_fits(wanted, each) for each in value)
    if wanted == _NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if wanted == _PREFIX:
        return isinstance(value, str) and bool(value)
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(each, int) and 0 <= each <= 0xFFFF for each in value)
        and value[0] <= value[1]
    )
