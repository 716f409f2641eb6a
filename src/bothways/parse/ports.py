"""Ports as tools and people write them: numbers, ranges, and the service names that are in daily use."""

from __future__ import annotations

from typing import Final

__all__ = ["port_number", "port_range"]

MAX_PORT: Final = 0xFFFF

#: Names from the IANA service name registry that appear in rules, filters and socket lists.
SERVICES: Final = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68,
    "tftp": 69, "http": 80, "www": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123,
    "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139, "imap2": 143, "imap": 143, "snmp": 161,
    "bgp": 179, "ldap": 389, "https": 443, "microsoft-ds": 445, "isakmp": 500, "syslog": 514,
    "submission": 587, "ldaps": 636, "imaps": 993, "pop3s": 995, "nfs": 2049, "mysql": 3306,
    "ipsec-nat-t": 4500, "vxlan": 4789, "postgresql": 5432, "amqp": 5672, "geneve": 6081, "openflow": 6653,
    "http-alt": 8080, "webcache": 8080, "bfd-control": 3784, "zabbix-agent": 10050,
}  # fmt: skip


def port_number(text: str) -> int:
    """
    A port by number or name.

    :raises ValueError: if it is neither, or above 65535.
    """
    if text in SERVICES:
        return SERVICES[text]
    if not (text.isascii() and text.isdigit()) or len(text) > len("65535") or int(text) > MAX_PORT:
        raise ValueError(f"`{text}` is not a port")
    return int(text)


def port_range(text: str, separator: str = ":") -> tuple[int, int]:
    """
    A port or a range of ports, both ends included; an open end reaches to the last port.

    :raises ValueError: if it is neither, or runs backwards.
    """
    low, found, high = text.partition(separator)
    if not found or text in SERVICES:
        return port_number(text), port_number(text)
    ends = (port_number(low) if low else 0, port_number(high) if high else MAX_PORT)
    if ends[0] > ends[1]:
        raise ValueError(f"the range `{text}` runs backwards")
    return ends
