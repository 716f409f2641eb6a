"""
Fields on kernels that run somewhere: extracts of their types, made with ``bpftool gen min_core_btf``.

The offsets beside them were read from ``bpftool btf dump`` of the same kernels.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from probe_samples import Types

from bothways.trace.probe import relocate as kinds
from bothways.trace.probe.btf import Btf
from bothways.trace.probe.extension import FieldRelocation
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.relocate import Missing, Relocator

KERNELS = Path(__file__).parent / "kernels"

#: field -> its path in the types below, and its offset on Debian's 6.1 and 6.12 and on 6.18
OFFSETS = {
    "sk_buff.dev": ("sk_buff", "0:0", (16, 16, 16)),
    "sk_buff.len": ("sk_buff", "0:1", (112, 112, 112)),
    "sk_buff.mark": ("sk_buff", "0:2", (168, 168, 164)),
    "sk_buff.head": ("sk_buff", "0:3", (200, 200, 192)),
    "sk_buff.network_header": ("sk_buff", "0:4", (184, 184, 180)),
    "sk_buff._nfct": ("sk_buff", "0:5", (104, 104, 104)),
    "sk_buff.gone": ("sk_buff", "0:6", (None, None, None)),
    "net.ns.inum": ("net", "0:0:0", (128 + 16, 120 + 16, 152 + 24)),
    "net_device.ifindex": ("net_device", "0:0", (216, 224, 224)),
    "net_device.nd_net.net": ("net_device", "0:1:0", (1272, 280, 264)),
}
#: value -> its number; None where the kernel has no such enum, or no such value
VALUES = {
    "SKB_DROP_REASON_NO_SOCKET": ("skb_drop_reason", "0", (2, 3, 3)),
    "SKB_CONSUMED": ("skb_drop_reason", "1", (None, 1, 1)),
    "SK_RST_REASON_NO_SOCKET": ("sk_rst_reason", "0", (None, 1, 1)),
}
RUNNING = ("6.1", "6.12", "6.18")


def local() -> tuple[Btf, dict[str, int]]:
    types = Types()
    word, half, number = (
        types.integer("unsigned int", 4),
        types.integer("unsigned short", 2),
        types.integer("int", 4, signed=True),
    )
    long, octet = types.integer("unsigned long", 8), types.integer("unsigned char", 1)
    common = types.struct("ns_common", 4, [("inum", word, 0)])
    net = types.struct("net", 4, [("ns", common, 0)])
    holder = types.typedef("possible_net_t", types.struct("", 8, [("net", types.pointer(net), 0)]))
    device = types.struct("net_device", 16, [("ifindex", number, 0), ("nd_net", holder, 8)])
    members = [
        ("dev", types.pointer(device), 0),
        ("len", word, 8),
        ("mark", word, 12),
        ("head", types.pointer(octet), 16),
    ]
    members += [("network_header", half, 24), ("_nfct", long, 32), ("gone", word, 40)]
    packet = types.struct("sk_buff", 48, members)
    drop = types.enum("skb_drop_reason", {"SKB_DROP_REASON_NO_SOCKET": 0, "SKB_CONSUMED": 1})
    reset = types.enum("sk_rst_reason", {"SK_RST_REASON_NO_SOCKET": 0})
    numbers = {
        "net": net,
        "net_device": device,
        "sk_buff": packet,
        "skb_drop_reason": drop,
        "sk_rst_reason": reset,
    }
    return Btf(types.image(), name="object"), numbers


@pytest.mark.parametrize("running", RUNNING)
@pytest.mark.parametrize(
    ("asked", "kind"), [(OFFSETS, kinds.BYTE_OFFSET), (VALUES, kinds.VALUE)], ids=["fields", "values"]
)
def test_the_same_object_finds_its_way_on_each_kernel(
    running: str, asked: dict[str, tuple[str, str, tuple[int | None, ...]]], kind: int
) -> None:
    image, numbers = local()
    relocator = Relocator(image, Kernel((KERNELS / f"{running}.btf").read_bytes(), {}))
    found: dict[str, int | None] = {}
    for name, (root, access, _) in asked.items():
        try:
            found[name] = relocator.value(FieldRelocation(0, numbers[root], access, kind)).number
        except Missing:
            found[name] = None
    assert found == {name: answers[RUNNING.index(running)] for name, (_, _, answers) in asked.items()}
