"""
Native nft chains, walked for one packet.

``walk`` takes a packet through a base chain: ``chain`` holds rules against it, ``condition`` says whether
one holds, ``value`` reads expressions, ``payload`` and ``meta`` the fields, ``element`` looks into sets,
``effect`` and ``write`` do what statements say.
"""

from __future__ import annotations

from bothways.model.linux.nftables.chain import FUNCTION, walk
from bothways.model.linux.nftables.view import Memory

__all__ = ["FUNCTION", "Memory", "walk"]
