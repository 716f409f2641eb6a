"""
What really happened in each bundle, known because it was arranged so and seen to happen.

Beside the examples these are the bundles in ``data/``, recorded in the same rebuilt site: the incident in
other clothes, and cases that look like it and are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["BUNDLES", "QG", "QROUTER", "TRUTHS", "VM", "Truth"]

_CASES: Final = Path(__file__).parent
_EXAMPLES: Final = _CASES.parents[1] / "examples"

QROUTER: Final = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
#: Who may have sent a RST: host, namespace, device.
QG: Final = ("host1", QROUTER, "qg-5d88ef18-33")
VM: Final = ("test51", "root", "eth0")


_EXPLAINED: Final = frozenset({"explained"})
_HEALTHY: Final = frozenset({"healthy"})
_OPEN: Final = frozenset({"undetermined"})


@dataclass(frozen=True, slots=True)
class Truth:
    """
    One case.

    :param story: what happened, in a sentence.
    :param fate: what the client felt.
    :param author: who sent the first RST that the client received; None = nobody did.
    :param code: the one code that may be named as the cause; None = none that exists yet.
    :param statuses: those that are right for the whole bundle.
    :param owners: whether two stations own the floating address, so that BW201 may stand beside.
    :param guilty: patterns, one of which a culprit's host and line fit, if anybody is to be accused.
    :param in_dumps: False if no dump shows why it fails: then dumps alone read healthy, and rightly so.
    """

    story: str
    fate: str
    author: tuple[str, str, str] | None = None
    code: str | None = None
    statuses: frozenset[str] = _OPEN
    owners: bool = False
    guilty: tuple[str, ...] = ()
    in_dumps: bool = True


#: The flow that translates the reply, and qrouter's claim to the address: a DNAT rule or the address itself.
_BYPASS: Final = (
    r"^host5 .*table=100,.*set_field:192\.168\.111\.223->ip_src",
    r"^host1 .*-d 192\.168\.111\.223/32 -j DNAT",
    r"^host1 .*192\.168\.111\.223 on qg-5d88ef18-33",
)
#: The flows that draw the address to the switch and translate on the way in.
_HALF: Final = (r"^host5 .*table=(?:20|30),.*=192\.168\.111\.223\b",)


def _incident(clothes: str) -> Truth:
    """The incident, and what is different in how it looks."""
    story = f"the reply bypasses qrouter; {clothes}"
    return Truth(story, "reset", QG, "BW101", _EXPLAINED, owners=True, guilty=_BYPASS)


def _works(story: str, *, owners: bool = False) -> Truth:
    return Truth(story, "works", statuses=_HEALTHY, owners=owners)


_EXAMPLES_TRUTH: Final[Mapping[str, Truth]] = {
    "incident": _incident("the evidence is pasted text"),
    "dual-l3": _incident("everything was collected"),
    "neutron-l3-only": _works("one owner: qrouter"),
    "odl-l3-only": _works("one owner: the flows"),
}
#: The incident in other clothes.
_VARIANTS: Final[Mapping[str, Truth]] = {
    "dual-legacy": _incident("iptables-legacy, and a second attempt is in conntrack"),
    "dual-veth": _incident("the router's ports are veth pairs"),
    "dual-gateway-on-host1": _incident("the client's bridge bears the gateway's MAC"),
    "dual-read-at-once": _incident("the entry is still there, no events and no invalid log"),
    "dual-odl-won": _works("two owners, the flows won the ARP race", owners=True),
    "dual-drop-invalid": Truth(
        "the reply bypasses qrouter, where a rule drops what is INVALID: no RST, the connection stalls",
        "stall",
        code="BW101",
        statuses=_EXPLAINED | _OPEN,
        owners=True,
        guilty=_BYPASS,
    ),
}
#: Two owners, and yet another truth.
_DUAL: Final[Mapping[str, Truth]] = {
    "dual-odl-won-application-resets": Truth(
        "all goes over the flows; the server closes with a RST", "reset", VM, owners=True, in_dumps=False
    ),
    "dual-vm-refuses": Truth(
        "nothing listens; the VM's RST bypasses qrouter, and would be sent anyway", "refused", VM, owners=True
    ),
    "dual-reject-port": Truth("a REJECT rule of qrouter answers the SYN", "refused", QG, owners=True),
    "dual-no-dnat": Truth(
        "qrouter has the floating address and no DNAT rule: it refuses itself", "refused", QG, owners=True
    ),
    "dual-half-odl-inbound": Truth(
        "in over the flows, back through qrouter, whose tracker does not know it",
        "timeout",
        code="BW102",
        statuses=_EXPLAINED,
        owners=True,
        guilty=_HALF,
    ),
}
#: One owner, and another truth.
_SINGLE: Final[Mapping[str, Truth]] = {
    "vm-refuses": Truth("nothing listens on the VM", "refused", VM),
    "vm-application-resets": Truth("the server resets right after accept()", "reset", VM, in_dumps=False),
    "vm-application-resets-late": Truth("the server resets after its banner", "reset", VM, in_dumps=False),
    "reject-port": Truth("a REJECT rule answers the SYN", "refused", QG),
    "reject-established": Truth("a REJECT rule answers the client's ACK", "reset", QG),
    "reject-data": Truth("a REJECT rule answers the client's data", "reset", QG),
    "no-dnat": Truth("the namespace has the address and no DNAT rule", "refused", QG),
    "drop-port": Truth("a DROP rule in FORWARD", "timeout"),
    "checksum-offload": Truth(
        "replies have bad checksums, the tracker refuses them", "timeout", in_dumps=False
    ),
    "unrelated-invalid": _works("a stray SYN/ACK to another port is INVALID and draws a RST"),
    "entry-deleted": Truth(
        "the entry was deleted while tcp_loose=0: data is INVALID, the namespace resets",
        "reset",
        QG,
        in_dumps=False,
    ),
    "out-of-window": Truth(
        "a segment far out of the window is INVALID, the namespace resets", "reset", QG, in_dumps=False
    ),
}

TRUTHS: Final[Mapping[str, Truth]] = MappingProxyType({**_EXAMPLES_TRUTH, **_VARIANTS, **_DUAL, **_SINGLE})

BUNDLES: Final[Mapping[str, Path]] = MappingProxyType(
    {
        name: next(place / name for place in (_EXAMPLES, _CASES / "data") if (place / name).is_dir())
        for name in TRUTHS
    }
)
