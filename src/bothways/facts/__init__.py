"""
The nouns of bothways. This room imports the standard library and nothing of ours.

========== =====================================================================
Span       where a fact was read: a file, and its line or frame
Dump       what one command printed: rows, whole or a filtered view, and when
Snapshot   what all dumps say: hosts, namespaces, devices, routes, rules, flows
Sighting   one packet at one tap at one time on that host's clock
Step       what one kernel function or flow table did to a packet, and why
Diagnosis  symptoms, authors, a chain with evidence, culprits, what is unknown
========== =====================================================================

Missing is not empty: a table that was not collected is ``None``; a table that was
collected and is empty is a ``Dump`` without rows.
"""
