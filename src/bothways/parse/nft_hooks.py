"""
``nft list hooks``: who hangs at the hooks of netfilter.

Chains of nft, iptables' tables, the tracker, NAT, defragmentation and the security modules are known, and
walked or of no effect. Others (a module of somebody) are told. Layout as nft prints it (``src/mnl.c``).
"""

from __future__ import annotations

import re
from typing import Final

from bothways.facts.bypass import Bypass, BypassKind
from bothways.facts.parsed import Parsed
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_nft_hooks"]

_FAMILY: Final = re.compile(r"\s*family (?P<family>\w+)(?:\s+device (?P<device>\S+))?\s*\{?")
_HOOK: Final = re.compile(r"\s*hook (?P<hook>\w+)(?:\s+device (?P<device>\S+))?\s*\{?")
_ROW: Final = re.compile(r"\s*(?P<priority>[+-]?\d{1,11})\s+(?P<what>\S.*?)\s*\Z")
#: Functions by their beginning: the kernel's own, whose effect is walked or that change no packet's fate.
_KNOWN: Final = (
    "chain ", "nft_do_chain", "nft_nat_do_chain", "nf_conntrack", "ipv4_conntrack", "ipv6_conntrack",
    "ipv4_confirm", "ipv6_confirm", "nf_confirm", "nf_nat", "iptable_", "ip6table_", "ipt_do_table",
    "ip6t_do_table", "arpt_", "arptable_", "ebt_", "ebtable_", "br_nf_", "ip_sabotage", "ipv4_helper",
    "ipv6_helper", "nf_ct_bridge", "selinux_", "smack_", "apparmor_", "bpf_lsm", "nf_hook_run_bpf_none",
    "nf_defrag", "ipvlan_", "vrf_",
)  # fmt: skip
_IPVS: Final = ("ip_vs_", "ip_vs")


def parse_nft_hooks(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bypass]:
    """One row a hook; those of known functions are harmless."""
    reading: Reading[Bypass] = Reading()
    family = device = hook = ""
    for span in lines(text, file=file, read_at=read_at):
        line = span.text
        named, hooked, row = _FAMILY.match(line), _HOOK.match(line), _ROW.match(line)
        if named is not None:
            family, device, hook = named["family"], named["device"] or "", ""
        elif hooked is not None:
            hook, device = hooked["hook"], hooked["device"] or device
        elif row is not None and hook:
            what = row["what"]
            does = f"`{what}` at the hook {family} {hook} (priority {int(row['priority'])})"
            kind = BypassKind.IPVS if what.startswith(_IPVS) else BypassKind.HOOK
            usual = what.startswith(_KNOWN) or kind is BypassKind.IPVS
            reading.rows.append(Bypass(kind, does, span, device, harmless=usual, hook=hook))
        elif line.strip() in ("", "}", "{") or is_prompt(line) or line.lstrip().startswith("#"):
            reading.skip()
        else:
            reading.malformed(span, f"{quoted(line)} is no line of `nft list hooks`")
    return reading.done()
