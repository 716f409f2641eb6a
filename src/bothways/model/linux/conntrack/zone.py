"""
Zones: the same addresses and ports twice in one table, told apart by a number.

``struct nf_conntrack_zone`` and ``nf_ct_zone_id`` (``include/net/netfilter/nf_conntrack_zones.h``). A zone
holds for both directions, or for one of them: in the other the connection stands in zone 0.
"""

from __future__ import annotations

from bothways.facts.trajectory import Way

__all__ = ["zone_in", "zones_to_try"]


def zone_in(zone: int, half: Way | None, way: Way) -> int:
    """
    In which zone one direction of a connection stands.

    :param half: the only direction for which *zone* holds, None if it holds for both.
    """
    return zone if half is None or half is way else 0


def zones_to_try(zone: int, half: Way | None) -> tuple[int, ...]:
    """The zones in which a packet is looked up, in this order (``resolve_normal_ct``)."""
    if half is None or zone == 0:
        return (zone,)
    return (zone, 0) if half is Way.ORIGINAL else (0, zone)
