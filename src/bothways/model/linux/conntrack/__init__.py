"""
Connection tracking: ``nf_conntrack`` of one namespace.

=========== =====================================================================
tuple       one direction of a connection, its inverse, the packet it names
tcp         what a TCP segment does to an entry, a total table
tcp_memory  what that table needs to remember, and its exceptions
entry       one tracked connection
timeouts    how long an entry lives in each state
table       all entries: look up, create, confirm, expire, forget
=========== =====================================================================
"""
