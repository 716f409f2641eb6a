"""
What one bridge of Open vSwitch does to one packet.

field       how each field is read from a packet, written back, and worded
key         all fields of one packet on its way through the tables, bit by bit known or not
match       one flow held against a key: yes, no, or not known
classifier  the flows of one table, found by what they match
conjunction flows that match as clauses of a conjunction
tables      which flow of a table wins
passage     what goes into a bridge and what comes out
frame       a list of actions that is being executed
run         one packet's translation while it is written: frames, trail, doubts
ending      how it ends: copies, or why there are none
ct          the action ``ct``: asks a tracker; recirculation: the copy that comes back
tracker     what a tracker is asked and answers: kernel_tracker, userspace_tracker, given_tracker
actions     what each action does, as a table; by subject: sending, writing, vlans, mpls, copies, groups,
            balancing, learning
action_set  write_actions, and the order in which the set is executed
hashing     hashes of a packet, by which a switch chooses
learned     flows that ``learn`` added
visit       looking up one more table, and the limits of that; volume: the one that counts bytes
here        the bridge that a packet is in; patch: how a translation goes on in the next one
egress      sending to a port: its configuration, and tunnels; mirroring: copies that mirrors make
normal      the action NORMAL: learning, flooding, bonds; vlan_mode: VLANs of ports; mac_table: learned MACs
pipeline    runs a packet through the tables

Not modelled here: NSH and other encapsulations, PBB, limits of ``learn``, multicast snooping. Where one of
them has a part in a packet's way, the passage says so in ``unknown``. That a meter lets a packet pass is
assumed and said.
"""
