"""
``/proc/net/ptype``: who takes frames as they come in.

The kernel's own receivers and packet sockets (captures) leave a frame to the others; what is not known here
may be a module that takes frames for itself. ``net/core/net-procfs.c``.
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.bypass import Bypass, BypassKind, Selector, Side
from bothways.facts.parsed import Parsed
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_ptype"]

_ROW: Final = re.compile(r"(?P<type>ALL|[0-9a-fA-F]{4})\s+(?P<rest>\S.*)\Z")
#: Receivers of the kernel, and readers that get a copy of every frame.
_USUAL: Final = frozenset(
    {
        "ip_rcv", "ipv6_rcv", "arp_rcv", "packet_rcv", "packet_rcv_spkt", "packet_rcv_fanout", "tpacket_rcv",
        "llc_rcv", "snap_rcv", "mpls_forward", "pppoe_rcv", "pppoe_disc_rcv", "rarp_rcv", "aarp_rcv",
        "vlan_skb_recv", "batadv_batman_skb_recv", "fcoe_rcv", "fip_recv", "tipc_l2_rcv_msg", "lltd_rcv",
        "bond_rcv_validate", "rlb_arp_recv", "ic_rarp_recv", "ic_bootp_recv", "ieee802154_rcv", "lowpan_rcv",
        "can_rcv", "canfd_rcv", "canxl_rcv", "phonet_rcv", "mctp_pkttype_receive", "atalk_rcv", "ltalk_rcv",
        "x25_lapb_receive_frame", "ipx_rcv", "dn_rcv", "eth_ipx_rcv", "hsr_rcv", "prp_rcv", "cfm_frame_rcv",
        "dsa_switch_rcv", "smc_rx", "aoenet_rcv", "l2tp_eth_rcv", "rxe_udp_encap_recv", "qdisc_pkt_rcv",
    }
)  # fmt: skip


def parse_ptype(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """One row a handler; the kernel's usual ones are harmless."""
    reading: Reading[Bypass] = Reading()
    for span in lines(text, file=file, read_at=read_at):
        line = span.text.rstrip()
        found = _ROW.match(line.strip())
        if not line.strip() or line.lstrip().startswith(("Type", "#")) or is_prompt(line):
            reading.skip()
            continue
        if found is None:
            reading.malformed(span, f"{quoted(line)} is no line of /proc/net/ptype")
            continue
        words = found["rest"].split()
        module = words.pop() if len(words) > 1 and words[-1].startswith("[") else ""
        function = words[-1].partition("+")[0]
        device = words[0] if len(words) > 1 else ""
        kind = None if found["type"] == "ALL" else int(found["type"], 16)
        shown = f"{function} {module}".strip()
        does = f"the packet handler `{shown}` ({found['type']})" + (f" at {device}" if device else "")
        usual = function in _USUAL
        reading.rows.append(
            Bypass(BypassKind.HANDLER, does, span, device, Side.IN, Selector(ethertype=kind), harmless=usual)
        )
    return reading.done()
