"""
Connection tracking: ``nf_conntrack`` of one namespace.

=========== =====================================================================
tuple       one direction of a connection, its inverse, the packet it names
tcp         what a TCP segment does to an entry, a total table
tcp_memory  what that table needs to remember, and its exceptions
protocol    what each protocol's tracker makes of a packet
entry       one tracked connection
timeouts    how long an entry lives in each state
settings    the tracker's sysctls, and what is taken for granted without them
variant     what older kernels did otherwise
table       all entries: look up, create, confirm, expire, forget
stepping    the table stepped by hand, with segments that a person writes
=========== =====================================================================
"""
