"""
What changed between kernels, as far as a walk shows it: function names, and a few habits.

One row per variant, the newest first; a kernel takes the first row that is not newer than itself. An
unknown kernel takes the newest. Sources: ``net/ipv4/netfilter`` and ``net/netfilter`` before and after 4.18
(one set of NAT hooks for both families), and 5.7 (``ip_output`` tells POSTROUTING where a packet came in).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bothways.model.linux.hook import Hook

__all__ = ["VARIANTS", "Variant", "variant_of"]


@dataclass(frozen=True, slots=True)
class Variant:
    """
    Names and habits of the kernels from *since* on.

    :param tracker: hook -> function that looks a packet up in the tracker.
    :param nat: hook -> function that translates.
    :param rules: function that walks the chains of a table.
    :param names_input_in_postrouting: True if a rule in POSTROUTING can match where a packet came in;
        before, the name it compares with is empty there.
    """

    since: tuple[int, int]
    tracker: Mapping[Hook, str]
    nat: Mapping[Hook, str]
    rules: str
    names_input_in_postrouting: bool


_NAT_HOOKS: Final = (Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT, Hook.POSTROUTING)
_TRACKER: Final = dict.fromkeys((Hook.PREROUTING, Hook.OUTPUT), "nf_conntrack_in")
_OLD_TRACKER: Final = {Hook.PREROUTING: "ipv4_conntrack_in", Hook.OUTPUT: "ipv4_conntrack_local"}
_NAT: Final = dict.fromkeys(_NAT_HOOKS, "nf_nat_inet_fn")
_OLD_NAT: Final = {
    Hook.PREROUTING: "iptable_nat_ipv4_in",
    Hook.INPUT: "iptable_nat_ipv4_fn",
    Hook.OUTPUT: "iptable_nat_ipv4_local_fn",
    Hook.POSTROUTING: "iptable_nat_ipv4_out",
}

VARIANTS: Final = (
    Variant((5, 7), _TRACKER, _NAT, "ipt_do_table", names_input_in_postrouting=True),
    Variant((4, 18), _TRACKER, _NAT, "ipt_do_table", names_input_in_postrouting=False),
    Variant((0, 0), _OLD_TRACKER, _OLD_NAT, "ipt_do_table", names_input_in_postrouting=False),
)


def variant_of(kernel: str | None) -> Variant:
    """
    The variant of a kernel by what ``uname -r`` says of it.

    >>> variant_of("3.10.0-1160.el7.x86_64").nat[Hook.PREROUTING]
    'iptable_nat_ipv4_in'
    """
    found = re.search(r"(\d{1,4})\.(\d{1,4})", kernel or "")
    if found is None:
        return VARIANTS[0]
    release = (int(found[1]), int(found[2]))
    return next(row for row in VARIANTS if row.since <= release)
