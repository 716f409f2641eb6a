"""
A change as one would type it: ``HOST[/NETNS]: COMMAND``, read into edits.

words         the words of a command as a shell splits them
arguments     a cursor over them that knows where the wrong one stands
place         host and namespace: before the colon, ``ip netns exec``, ``ip -n``
sysctl, ip_*, iptables, nft, ovs_ofctl, ovs_vsctl, conntrack
              one module per command
"""

from bothways.parse.change.error import ChangeError
from bothways.parse.change.place import parse_change

__all__ = ["ChangeError", "parse_change"]
