"""What is not known of the hooks of a namespace: rules that were not collected or are not modelled."""

from __future__ import annotations

from bothways.facts.snapshot import Netns
from bothways.model.linux.settings import command

__all__ = ["doubts_of"]


def doubts_of(netns: Netns, version: int = 4) -> list[str]:
    """What is not known of the hooks of a namespace, whatever packet of one IP version passes them."""
    name, tables = ("iptables", netns.iptables) if version == 4 else ("ip6tables", netns.ip6tables)  # noqa: PLR2004 - IPv4
    label, found = netns.label, []
    if tables is None:
        what = command(netns, f"{name}-save -c")
        found.append(f"which {name} rules {label} has: `{what}` was not collected")
    elif not tables.whole:
        found.append(f"which other {name} rules {label} has: the dump is a filtered view ({tables.partial})")
    found.extend(
        f"what the nftables table `{span.text.strip()}` of {label} does: it is not modelled"
        for span in netns.unmodelled_nft or ()
    )
    return found
