"""
iptables: the walk of a table's chains for one packet.

========= =============================================================
probe     what a rule may ask about a packet
condition what all conditions share
header    conditions on the packet's headers
metadata  conditions on what goes with it
matches   all conditions of a rule: yes, no, or not to be told
targets   one row per target: what it does to a packet
listener  who hears of a walk, and is asked what cannot be told
chain     jumps, goto, return, policies; the decision of a table
uses      which rules make the namespace track connections
========= =============================================================
"""
