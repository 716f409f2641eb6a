"""
Connection tracking: ``nf_conntrack`` of one namespace.

=========== =====================================================================
tuple       one direction of a connection, its inverse, the packet it names
tcp         what a TCP segment does to an entry, a total table
tcp_window  what numbers lie inside, a side's memory of them
tcp_memory  what a connection remembers beside its state
tcp_reset   what a RST ends
tcp_judge   one segment judged: the table, its exceptions, windows
arrival     a packet before a connection's tracker, and what that decides
tcp_packet  TCP's tracker: header, checksum, judgement, time
protocol    what each protocol's tracker makes of a packet
udp         UDP and UDP-Lite: damage, and when it is a stream
icmp        ICMP and ICMPv6: queries, answers, errors, and what is refused or left out
related     an ICMP error and the connection of what it quotes
checksum    a wrong checksum
zone        in which zone each direction of a connection stands
clash       two first packets of one flow
capacity    a full table, and who goes for a new connection
entry       one tracked connection
timeouts    how long an entry lives in each state
settings    the tracker's sysctls, and what is taken for granted without them
variant     what older kernels did otherwise
entries     where they stand, and by what they are found
expiry      an entry that was over when it was met
table       all entries: look up, create, confirm, expire, forget
stepping    the table stepped by hand, with segments that a person writes
=========== =====================================================================
"""
