"""
What a kprobe fetches of a packet: the text of its definition, and the packet out of its record.

The grammar of ``kprobe_events`` cannot add two numbers, so the header's address (``head`` +
``network_header``) is out of its reach; a window of bytes around ``data`` is taken, and cut here. Likewise
the tracker's entry: its pointer carries the packet's relation in its low three bits, so eight bytes more
are taken, and the entry starts where the bits say. A fetch that faults leaves what was in the buffer
before, so nothing is believed behind a pointer that is null.
"""

import os
import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from bothways.trace.probe.btf import Btf
from bothways.trace.probe.btf_kinds import COMPOSITE
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.tracefs_format import Format
from bothways.trace.probe.tracefs_tap import Way

__all__ = ["Entry", "Glimpse", "Layout", "definition", "glimpse", "read_layout", "registers"]

_BEFORE, _WINDOW = 96, 22  # bytes before data, words taken
_WORD = 8
_TUPLES = 15  # words: both directions, and one more for the pointer's bits
_INFORMATION = 7  # the low bits of skb->_nfct: enum ip_conntrack_info

#: arguments of a function in registers, by machine
_REGISTERS: Dict[str, Tuple[str, ...]] = {
    "x86_64": ("%di", "%si", "%dx", "%cx", "%r8", "%r9"),
    "aarch64": ("%x0", "%x1", "%x2", "%x3", "%x4", "%x5"),
}


class Layout(NamedTuple):
    """
    Offsets of members in this kernel, by ``STRUCT.MEMBER``.

    A member that it does not have is not in it.
    """

    at: Dict[str, int]

    def has(self, *names: str) -> bool:
        """Whether all of them are known."""
        return all(name in self.at for name in names)


class Entry(NamedTuple):
    """
    The tracker's entry as the packet carries it.

    Raw tuples of both directions, status bits, mark, zone, TCP state.
    """

    tuples: bytes
    status: Optional[int]
    mark: Optional[int]
    zone: Optional[int]
    state: Optional[int]


class Glimpse(NamedTuple):
    """
    What a record shows of a packet.

    ``window`` holds bytes of which that at ``network`` starts the IP header.
    """

    skb: int
    window: bytes
    network: Optional[int]
    device: Optional[str]
    ifindex: Optional[int]
    netns: Optional[int]
    length: Optional[int]
    mark: Optional[int]
    information: Optional[int]
    entry: Optional[Entry]


_MEMBERS = {
    "sk_buff": ("head", "data", "network_header", "len", "mark", "protocol", "_nfct", "nfct", "dev", "sk"),
    "net_device": ("name", "ifindex", "nd_net"),
    "net": ("ns",),
    "ns_common": ("inum",),
    "sock_common": ("skc_net",),
    "nf_hook_state": ("hook", "pf", "net"),
    "nf_conn": ("tuplehash", "status", "mark", "zone", "proto"),
    "nf_conntrack_tuple_hash": ("tuple",),
    "ip_ct_tcp": ("state",),
}


def read_layout(kernel: Kernel) -> Layout:
    """Ask the kernel's own types where the members are that a probe reads."""
    at: Dict[str, int] = {}
    for struct_name, members in _MEMBERS.items():
        found = kernel.find(struct_name, COMPOSITE)
        if not found:
            continue
        image, number = found[0]
        for member in members:
            offset = _offset(image, number, member)
            if offset is not None:
                at["{}.{}".format(struct_name, member)] = offset
    return Layout(at)


def _offset(image: Btf, number: int, member: str) -> Optional[int]:
    """Where a member starts, in bytes, looked for in nameless structs and unions too."""
    for each in image.members(number):
        if each.name == member:
            return each.bit_offset // 8
        if not each.name:
            inside = _offset(image, image.plain(each.type).id, member)
            if inside is not None:
                return each.bit_offset // 8 + inside
    return None


def registers() -> Tuple[str, ...]:
    """How arguments are fetched at the start of a function on this machine."""
    return _REGISTERS.get(os.uname().machine, tuple("$arg{}".format(number) for number in range(1, 7)))


def definition(way: Way, symbol: str, name: str, layout: Optional[Layout], arguments: Tuple[str, ...]) -> str:
    """
    Write the line that defines a kprobe.

    :param name: ``GROUP/EVENT``.
    :param layout: None where the kernel does not say where its members are: then only the pointer is fetched.
    :param arguments: the registers of a function's arguments.
    """
    if way.kind == "return":
        return "r:{} {} ret=$retval:{}".format(name, symbol, "x64" if way.extra == "pointer" else "s32")
    parts = _extra(way, layout, arguments)
    if way.skb >= 0:
        skb = "+0({})".format(arguments[way.skb]) if way.indirect else arguments[way.skb]
        parts = ["skb={}:x64".format(skb), *(_packet(skb, layout) if layout is not None else []), *parts]
    return "p:{} {} {}".format(name, symbol, " ".join(parts)).rstrip()


def _packet(skb: str, layout: Layout) -> List[str]:
    at = layout.at
    if not layout.has("sk_buff.head", "sk_buff.data", "sk_buff.network_header"):
        return []
    data = "+{}({})".format(at["sk_buff.data"], skb)
    parts = [
        "head=+{}({}):x64".format(at["sk_buff.head"], skb),
        "data={}:x64".format(data),
        "network=+{}({}):u16".format(at["sk_buff.network_header"], skb),
    ]
    parts += ["w{}={:+d}({}):x64".format(word, word * _WORD - _BEFORE, data) for word in range(_WINDOW)]
    for name, member, kind in (("len", "len", "u32"), ("mark", "mark", "u32")):
        if layout.has("sk_buff." + member):
            parts.append("{}=+{}({}):{}".format(name, at["sk_buff." + member], skb, kind))
    return parts + _device(skb, layout) + _socket(skb, layout) + _tracker(skb, layout)


def _device(skb: str, layout: Layout) -> List[str]:
    at = layout.at
    if not layout.has("sk_buff.dev", "net_device.name", "net_device.ifindex"):
        return []
    device = "+{}({})".format(at["sk_buff.dev"], skb)
    parts = [
        "dev={}:x64".format(device),
        "devname=+{}({}):string".format(at["net_device.name"], device),
        "ifindex=+{}({}):s32".format(at["net_device.ifindex"], device),
    ]
    if layout.has("net_device.nd_net", "net.ns", "ns_common.inum"):
        parts.append("devns={}".format(_namespace("+{}({})".format(at["net_device.nd_net"], device), layout)))
    return parts


def _namespace(net: str, layout: Layout) -> str:
    return "+{}({}):u32".format(layout.at["net.ns"] + layout.at["ns_common.inum"], net)


def _socket(skb: str, layout: Layout) -> List[str]:
    if not layout.has("sk_buff.sk", "sock_common.skc_net", "net.ns", "ns_common.inum"):
        return []
    socket = "+{}({})".format(layout.at["sk_buff.sk"], skb)
    net = "+{}({})".format(layout.at["sock_common.skc_net"], socket)
    return ["sk={}:x64".format(socket), "skns={}".format(_namespace(net, layout))]


def _tracker(skb: str, layout: Layout) -> List[str]:
    at = layout.at
    pointer = next((at[name] for name in ("sk_buff._nfct", "sk_buff.nfct") if name in at), None)
    if pointer is None:
        return []
    entry = "+{}({})".format(pointer, skb)
    parts = ["nfct={}:x64".format(entry)]
    if not layout.has("nf_conn.tuplehash", "nf_conntrack_tuple_hash.tuple"):
        return parts
    start = at["nf_conn.tuplehash"]
    parts += ["c{}={:+d}({}):x64".format(word, start + (word - 1) * _WORD, entry) for word in range(_TUPLES)]
    inside = {"state": at.get("ip_ct_tcp.state", 0)}
    for name, member in (("status", "status"), ("ctmark", "mark"), ("zone", "zone"), ("state", "proto")):
        if layout.has("nf_conn." + member) and (name != "state" or layout.has("ip_ct_tcp.state")):
            offset = at["nf_conn." + member] + inside.get(name, 0)
            parts += [
                "{}{}={:+d}({}):x64".format(name, word, offset + (word - 1) * _WORD, entry)
                for word in range(2)
            ]
    return parts


def _extra(way: Way, layout: Optional[Layout], arguments: Tuple[str, ...]) -> List[str]:
    if way.extra == "reason":
        return ["reason={}:u32".format(arguments[2])]
    if way.extra == "icmp":
        return ["type={}:u8".format(arguments[1]), "code={}:u8".format(arguments[2])]
    if (
        way.extra == "hook-state"
        and layout is not None
        and layout.has("nf_hook_state.hook", "nf_hook_state.pf")
    ):
        state, at = arguments[1], layout.at
        parts = [
            "hook=+{}({}):u8".format(at["nf_hook_state.hook"], state),
            "pf=+{}({}):u8".format(at["nf_hook_state.pf"], state),
        ]
        if layout.has("nf_hook_state.net", "net.ns", "ns_common.inum"):
            net = "+{}({})".format(at["nf_hook_state.net"], state)
            parts.append("hookns={}".format(_namespace(net, layout)))
        return parts
    return []


def glimpse(form: Format, data: bytes, layout: Optional[Layout]) -> Optional[Glimpse]:
    """What a record of a kprobe shows of its packet; None where it fetches none, or the pointer is null."""
    skb = form.number(data, "skb")
    if not skb:
        return None
    device = bool(form.number(data, "dev"))
    by_device = form.number(data, "devns") if device else None
    by_socket = form.number(data, "skns") if form.number(data, "sk") else None
    pointer = form.number(data, "nfct")
    return Glimpse(
        skb=skb,
        window=_words(form, data, "w", _WINDOW),
        network=_network(form, data),
        device=form.text(data, "devname") if device else None,
        ifindex=form.number(data, "ifindex") if device else None,
        netns=form.number(data, "hookns") or by_device or by_socket,
        length=form.number(data, "len"),
        mark=form.number(data, "mark"),
        information=None if pointer is None else pointer & _INFORMATION if pointer else -1,
        entry=_entry(form, data, pointer, layout),
    )


def _words(form: Format, data: bytes, prefix: str, count: int) -> bytes:
    values = [form.number(data, "{}{}".format(prefix, word)) for word in range(count)]
    return b"".join(struct.pack("<Q", value) for value in values if value is not None)


def _network(form: Format, data: bytes) -> Optional[int]:
    head, start, network = (form.number(data, name) for name in ("head", "data", "network"))
    if not head or not start or network is None:
        return None
    at = head + network - start + _BEFORE
    return at if 0 <= at < _WINDOW * _WORD else None


def _entry(form: Format, data: bytes, pointer: Optional[int], layout: Optional[Layout]) -> Optional[Entry]:
    if not pointer or not pointer & ~_INFORMATION or layout is None or not form.has("c0"):
        return None
    skipped = _WORD - (pointer & _INFORMATION)

    def at(name: str, size: int) -> Optional[int]:
        raw = _words(form, data, name, 2)[skipped : skipped + size]
        return int.from_bytes(raw, "little") if len(raw) == size else None

    tuples = _words(form, data, "c", _TUPLES)[skipped:]
    return Entry(tuples, at("status", 4), at("ctmark", 4), at("zone", 2), at("state", 1))
