"""
The engine of C{txcarp demo}: two hosts share an address on this machine, one loses power, and one
is stopped.

In reading order:

  - C{performance}: makes everything, runs it, and removes it again.
  - C{story}: what happens, in which order.
  - C{hosts}: the hosts.
  - C{door}: how a browser reaches their pages.
  - C{witness}: what the client's network card sees.
  - C{outcome}: what the take-overs took.
  - C{display}: shows the story as lines, and above a picture on a terminal.
  - C{timeline}: the picture of what happened when.
"""
