"""
BW201 two-owners.

Finds an address that more than one station owns: a namespace that holds it, and a switch whose
flows translate it or answer ARP for it (or two namespaces). Which owner serves a connection is then
decided by whose ARP answer came first, so it works or fails by chance.

Needs: addresses of the namespaces, flows of the bridges. Refuted by: one of the owners being unable
to receive (its segment does not reach the client), or a pinned neighbour entry.
"""

from __future__ import annotations

from typing import Final

from bothways.diagnose.case import Case
from bothways.facts.diagnosis import Fate, Finding

__all__ = ["CODE", "NAME", "find"]

CODE: Final = "BW201"
NAME: Final = "two-owners"


def find(case: Case) -> Finding | None:
    """Name both owners of the address that the client asked for, with the lines that make them owners."""
    owners = case.owners
    if not owners.two:
        return None
    names = [o.label for o in owners.namespaces] + [o.label for o in owners.switches]
    parts = [f"{owners.address} is owned by {' and by '.join(names)}"]
    claims = [flow for owner in owners.switches for flow in owner.claims]
    if claims:
        parts.append("a flow takes the answers that are addressed to the namespace's own MAC")
    fates = _arp_fates(case)
    if len(fates) > 1:
        said = {Fate.WORKS: "works", Fate.UNKNOWN: "cannot be told"}
        parts.append(
            "who answers ARP first decides: "
            + ", ".join(sorted(said.get(fate, f"ends in {fate}") for fate in fates))
        )
    elif not any(owner.responders for owner in owners.switches) and len(owners.namespaces) < 2:  # noqa: PLR2004
        whole = all(owner.bridge.flows is not None and owner.bridge.flows.whole for owner in owners.switches)
        parts.append(
            "no flow answers ARP for it"
            if whole
            else "a race for the ARP answer is possible, not observed: the flows are a filtered view"
        )
    return Finding(CODE, "; ".join(parts), case.ages.all(owners.spans))


def _arp_fates(case: Case) -> set[Fate]:
    if not case.prediction.walks:
        return set()
    free = [w for w in case.prediction.walks if any(c.key.startswith("neighbour ") for c in w.choices)]
    return {w.fate for w in free}
