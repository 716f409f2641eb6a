"""
A snapshot after a change: what somebody would type, done to the facts.

apply       which host is meant; every edit of a command in turn
devices     devices, addresses, and the routes that come and go with them
sysctls     kernel parameters
tables      routes, policy rules, neighbours, conntrack entries
netfilter   iptables
nft         native nft tables
switch      flows and ports of Open vSwitch
refusal     what does not fit, and why
"""

from bothways.model.change.apply import Applied, apply_change
from bothways.model.change.refusal import NothingToChangeError

__all__ = ["Applied", "NothingToChangeError", "apply_change"]
