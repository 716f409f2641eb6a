"""
The model, held against kernels: recorded ones, and the one that runs here.

============= =================================================================
recording     recorded sequences on disk: one JSON object per line
segment       a recorded segment as octets, and as the packet that the model knows
router        the model in the recorder's place: what it says of each segment
comparison    what a kernel and the model say of one segment, field by field
conformance   the outcome of holding many sequences
replay        sequences -> outcome
words         the outcome as text, and as ``bothways/conformance/1``
generation    sequences that nobody thought of, from a seed
netlink       ctnetlink and NFLOG, as octets
site          three namespaces, two wires, and the rules that make a kernel tell its verdicts
kernel        the running kernel in the model's place
live          fresh sequences -> running kernel and model -> outcome
============= =================================================================

This room touches the world: it reads recordings, and ``live`` makes namespaces of its own and removes them.
"""
