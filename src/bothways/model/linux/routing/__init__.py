"""
Routing: policy rules, tables, the longest prefix.

================= ==================================================================================
wanted            what a route is asked for, and what comes back
rule              which packets a policy rule asks
table             which row of one table decides
lookup            rules and tables of one namespace together
================= ==================================================================================
"""

from bothways.model.linux.routing.lookup import Routing
from bothways.model.linux.routing.wanted import Outcome, Wanted, asked_by

__all__ = ["Outcome", "Routing", "Wanted", "asked_by"]
