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
entry       one tracked connection
timeouts    how long an entry lives in each state
settings    the tracker's sysctls, and what is taken for granted without them
variant     what older kernels did otherwise
table       all entries: look up, create, confirm, expire, forget
stepping    the table stepped by hand, with segments that a person writes
=========== =====================================================================
"""
