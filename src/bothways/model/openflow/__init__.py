"""
What one bridge of Open vSwitch does to one packet.

field       how each field is read from a packet, written back, and worded
key         all fields of one packet on its way through the tables, bit by bit known or not
match       one flow held against a key: yes, no, or not known
tables      which flow of a table wins
passage     what goes into a bridge and what comes out
run         one packet's translation while it is written: frames, trail, doubts
ct          the action ``ct``: asks a tracker; recirculation: the copy that comes back
tracker     what a tracker is asked and answers: kernel_tracker, userspace_tracker, given_tracker
actions     what each action does, as a table
action_set  write_actions, and the order in which the set is executed
egress      sending to a port: its configuration, and tunnels
normal      the action NORMAL: learning, VLANs, flooding
pipeline    runs a packet through the tables

Not modelled here: groups, meters, ``learn``, conjunctions, ``clone``, MPLS, NSH. Where
one of them has a part in a packet's way, the passage says so in ``unknown``.
"""
