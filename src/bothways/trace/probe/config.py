"""
The configuration of the programs: the variable ``config`` of the object, as ``bpf/event.h`` lays it out.

What the kernel part cannot ask is asked again of each record (``asked_devices``): of a device's glob it takes
only what stands before the first wildcard.
"""

import socket
import struct
from typing import Any, Dict, Iterable, List, Optional, Tuple

from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.options import Options
from bothways.trace.probe.probes import PROBES

__all__ = ["SIZE", "TERMS", "pack"]

TERMS = 8
_NAMESPACES = 8
_GLOBS = 8
_TERM = struct.Struct("=16s16s16s16s32s32s8HII")
_GLOB = struct.Struct("=16s16s")
_REST = struct.Struct("=8I4H8B2Q8I")

#: octets of the variable
SIZE = TERMS * _TERM.size + _GLOBS * _GLOB.size + _REST.size

_TCP = 6
_ANY_PORT = (0, 0xFFFF)
_TUNNELS = (4789, 8472, 6081, 0)  # VXLAN by IANA and as Linux began, Geneve
_WILD = "*?["

#: bits of enum stacks: DROP, RST, XMIT, OTHER
_STACKS = {"none": 0, "rst": 2, "drop": 1 | 2, "xmit": 1 | 2 | 4, "all": 1 | 2 | 4 | 8}

#: reported only when asked for by name: they say again what a neighbouring probe says
_ON_DEMAND = frozenset({"queue"})

#: where the six arguments and the returned value stand in struct pt_regs, by machine: names of members
_REGISTERS = {
    "x86_64": ("di", "si", "dx", "cx", "r8", "r9", "ax"),
    "aarch64": ("0", "1", "2", "3", "4", "5", "0"),
}


def pack(options: Options, kernel: Optional[Kernel] = None, registers: Iterable[int] = ()) -> bytes:
    """
    Lay out the configuration.

    :param kernel: not needed yet: registers are given by their offsets.
    :param registers: offsets in struct pt_regs of six arguments and the returned value, for kprobes.
    :raises ValueError: what cannot be laid out; the options were checked before.
    """
    del kernel
    terms = [_term(each) for each in options.filter]
    if len(terms) > TERMS or len(options.netns) > _NAMESPACES:
        raise ValueError("at most {} terms and {} namespaces".format(TERMS, _NAMESPACES))
    globs = [_glob(each) for each in options.devices]
    if len(globs) > _GLOBS:
        globs = []  # asked of the records instead
    learns = not any(term.get("flags_mask") for term in options.filter)
    directed = ("source", "destination", "source_port", "destination_port")
    turns = not any(key in term for term in options.filter for key in directed)
    offsets = list(registers)[:8]
    return b"".join(
        (
            _padded(b"".join(terms), TERMS * _TERM.size),
            _padded(b"".join(globs), _GLOBS * _GLOB.size),
            _REST.pack(
                *_filled(options.netns, _NAMESPACES),
                *_TUNNELS,
                len(terms),
                len(globs),
                len(options.netns),
                _STACKS[options.stack],
                bool(options.follow_nat),
                learns,
                learns and turns,
                0,
                *_quiet(options.events),
                *_filled(offsets, 8),
            ),
        )
    )


def _term(term: Dict[str, Any]) -> bytes:
    """Lay out one term; what it does not ask for admits everything."""
    family = int(term.get("family") or 0)
    protocol = int(term.get("protocol") or 0)
    mask, value = int(term.get("flags_mask") or 0), int(term.get("flags_value") or 0)
    if mask and not protocol:
        protocol = _TCP
    source, source_mask, of_source = _address(term.get("source"))
    destination, destination_mask, of_destination = _address(term.get("destination"))
    hosts = [_address(each) for each in _several(term.get("host"), str)]
    hosts += [_address(None)] * (2 - len(hosts))
    for each in (of_source, of_destination, hosts[0][2], hosts[1][2]):
        family = family or each
        if each and each != family:
            family = 0xF  # of both families at once: no packet is
    ports = [_span(each) for each in _ranges(term.get("port"))]
    ports += [_span(None)] * (2 - len(ports))
    source_port, destination_port = _span(term.get("source_port")), _span(term.get("destination_port"))
    ported = any(term.get(key) is not None for key in ("port", "source_port", "destination_port"))
    what = protocol | family << 8 | (value & mask) << 16 | ported << 24
    what_mask = (
        (0xFF if protocol else 0)
        | (0xFF00 if family else 0)
        | (mask & 0xFF) << 16
        | (0xFF << 24 if ported else 0)
    )
    return _TERM.pack(
        source,
        source_mask,
        destination,
        destination_mask,
        hosts[0][0] + hosts[1][0],
        hosts[0][1] + hosts[1][1],
        *source_port,
        *destination_port,
        ports[0][0],
        ports[1][0],
        ports[0][1],
        ports[1][1],
        what,
        what_mask,
    )


def _several(value: Any, kind: type) -> List[Any]:
    if value is None:
        return []
    found = [value] if isinstance(value, kind) else list(value)
    if len(found) > 2:
        raise ValueError("at most two hosts, and two ports, in a term")
    return found


def _ranges(value: Any) -> List[Any]:
    """One range, or a list of two."""
    if value is not None and not isinstance(value, int) and value and isinstance(value[0], int):
        return [value]
    return _several(value, int)


def _span(value: Any) -> Tuple[int, int]:
    """The lowest port, and how many above it."""
    low, high = _ANY_PORT if value is None else (value, value) if isinstance(value, int) else value
    return low, max(0, high - low)


def _address(text: Optional[str]) -> Tuple[bytes, bytes, int]:
    """Address and mask as the programs compare them, and the family; zeroes for every address."""
    if text is None:
        return bytes(16), bytes(16), 0
    address, _, length = text.partition("/")
    family = 6 if ":" in address else 4
    packed = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, address)
    octets = len(packed)
    bits = int(length) if length else octets * 8
    mask = ((1 << octets * 8) - (1 << octets * 8 - bits)).to_bytes(octets, "big")
    masked = bytes(one & other for one, other in zip(packed, mask))
    return _padded(masked, 16), _padded(mask, 16), family


def _glob(glob: str) -> bytes:
    """What a name has to begin with; without a wildcard it is the whole name, and the zero behind it."""
    at = min([glob.index(each) for each in _WILD if each in glob] or [len(glob)])
    begin = glob[:at].encode()[:15]
    length = len(begin) if at < len(glob) else len(begin) + 1
    return _GLOB.pack(begin, b"\xff" * length)


def _quiet(words: List[str]) -> Tuple[int, int]:
    bits = 0
    for probe in PROBES:
        asked = probe.event in words if words else probe.event not in _ON_DEMAND
        if not asked:
            bits |= 1 << probe.number
    return bits & 0xFFFFFFFFFFFFFFFF, bits >> 64


def _filled(numbers: Iterable[int], size: int) -> List[int]:
    found = list(numbers)
    return found + [0] * (size - len(found))


def _padded(data: bytes, size: int) -> bytes:
    return data + bytes(size - len(data))
