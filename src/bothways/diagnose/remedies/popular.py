"""
What people try when they see INVALID packets and resets.

The words behind each are the reason for which it fails where it fails. Whether it does is walked, not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.diagnose.remedies.attempt import Attempt
from bothways.facts.address import IPAddress

__all__ = ["popular_attempts"]

#: command -> what it does -> why it fails where it fails. {address} and {device} are those of the namespace.
_TRIED: Final = (
    (
        "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1",
        "makes the tracker lenient about windows",
        "it relaxes window checks only; the packet is refused by the state of the connection",
    ),
    (
        "sysctl -w net.netfilter.nf_conntrack_tcp_loose=1",
        "lets the tracker pick up running connections",
        "it concerns packets without an entry; here there is one, or the packet is a SYN/ACK",
    ),
    (
        "sysctl -w net.netfilter.nf_conntrack_tcp_loose=0",
        "forbids the tracker to pick up running connections",
        "it makes the tracker refuse more, never less",
    ),
    (
        "sysctl -w net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1",
        "lets RSTs pass whose number is out of order",
        "no RST is refused here: the RST is the answer to what was refused",
    ),
    (
        "sysctl -w net.netfilter.nf_conntrack_checksum=0",
        "lets the tracker take packets with wrong checksums",
        "the packet is refused by the state of the connection, not for its checksum",
    ),
    (
        "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_syn_sent=1",
        "forgets unanswered connections after a second",
        "the next packet comes milliseconds after the SYN, the entry is still there",
    ),
    (
        "sysctl -w net.ipv4.conf.all.rp_filter=2",
        "loosens the reverse path filter",
        "the source address was never in doubt",
    ),
    (
        "iptables -I FORWARD -m conntrack --ctstate INVALID -j DROP",
        "drops INVALID packets that are forwarded",
        "the refused packet is not forwarded, or its loss is what the client already feels",
    ),
    (
        "iptables -I INPUT -m conntrack --ctstate INVALID -j DROP",
        "drops INVALID packets for the namespace itself",
        "it only silences the answer: a hang in place of a reset, the connection still does not come about",
    ),
    (
        "iptables -I OUTPUT -o {device} -p tcp --tcp-flags RST RST -j DROP",
        "drops the RSTs on their way out",
        "it only silences the answer: a hang in place of a reset, the connection still does not come about",
    ),
    (
        "iptables -t raw -I PREROUTING -d {address} -j CT --notrack",
        "keeps the address out of the tracker",
        "translation needs the tracker: now the SYN is not translated either",
    ),
)


def popular_attempts(host: str, netns: str, device: str, address: IPAddress) -> Iterator[Attempt]:
    """Every one of them, made for one namespace, its outer device and the address in question."""
    place = host if netns == "root" else f"{host}/{netns}"
    ipv6 = address.version == 6  # noqa: PLR2004
    for command, does, because in _TRIED:
        if ipv6 and "net.ipv4." in command:
            continue
        words = command.format(address=address, device=device)
        if ipv6 and words.startswith("iptables "):
            words = f"ip6{words[2:]}"
        yield Attempt((f"{place}: {words}",), does, because)
