"""
A diagnosis or a prediction as people and programs read it.

================ ====================================================================
json             ``bothways/diagnosis/1``, the contract with programs
prediction_json  ``bothways/prediction/1``
whatif_json      ``bothways/whatif/1``
text             the verdict for a terminal
whatif_text      a change walked, for a terminal
predicted_frames what captures would hold of a prediction, as bytes and as pcapng;
                 ``prediction_tcpdump`` in tcpdump's words, ``prediction_stack`` as stacks
side_by_side     recorded captures beside the predicted ones
conntrack_text   the tracker stepped by hand; ``conntrack_json``: ``bothways/conntrack/1``
inventory        what is in a bundle; ``show_text``, ``show_json``: ``bothways/show/1``
prediction_text  every outcome, packet by packet, for a terminal
kernel_account   who did what in a kernel trace; ``kernel_lines``, ``kernel_live``: events as they come;
                 ``kernel_pcapng``: a capture with comments; ``kernel_quote``: an event as evidence
kernel_stack_text  two call stacks side by side
paper            the sheet that both are set on: headings, indents, quoted evidence
html             one self-contained page for a ticket
quote            a quoted line in it, with its neighbours and where else it is quoted
ways             the way there and back in it, over hosts, namespaces and bridges
ladder           the drawing in it: a column per tap, an arrow per hop
columns          which column each sighting stands in
words            how names, times and hostile text are spelt everywhere
================ ====================================================================

Values in, text out: who prints or writes it is decided in ``cli``. The rooms are imported one by one, so
that ``--json`` needs neither rich nor jinja2.
"""
