"""
What Linux and Open vSwitch do to one packet.

linux/      one namespace's stack: hooks, iptables, conntrack, NAT, routing, neighbours, sockets
openflow/   one bridge: match, actions, tables, NORMAL
world/      a whole site: wires between them, choices, one connection walked to its fate

The model takes facts and returns facts. It reads no file and no clock.
"""
