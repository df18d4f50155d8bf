"""
The engine of C{txcarp demo}: two hosts share an address on this machine, one
loses power, and one is stopped.

L{performance<txcarp.demo.performance>} makes everything, runs it, and removes
it again.  L{story<txcarp.demo.story>} says what happens in which order, and
waits with L{progress<txcarp.demo.progress>}.  L{cast<txcarp.demo.cast>} has the
hosts, L{witness<txcarp.demo.witness>} what the client's network card sees, and
L{outcome<txcarp.demo.outcome>} the measured hand-overs.
L{display<txcarp.demo.display>} shows the story, with the picture of the
L{timeline<txcarp.demo.timeline>} on a terminal.
"""
