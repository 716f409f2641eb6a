"""
Translation of addresses and ports: ``nf_nat`` of one namespace.

=========== =====================================================================
target      what a NAT rule asks for, and which side it rewrites at which hook
unique      the address and port that a connection gets, free of clashes
binding     sets a connection's translation up, once per side
translation what one hook makes of one packet: set up, apply, leave alone
=========== =====================================================================
"""

from bothways.model.linux.nat.target import NatTarget
from bothways.model.linux.nat.translation import Translation, translate

__all__ = ["NatTarget", "Translation", "translate"]
