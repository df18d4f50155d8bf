"""
The engine of C{txcarp convert}: configuration files made from those of other programs.

In reading order:

  - C{draft}: groups that are being written, and what does not carry over.
  - C{commandlines}: ucarp's command lines in scripts and units.
  - C{ifupdown}: Debian's interfaces(5) with ucarp's options.
  - C{blocks}: reads the blocks of keepalived.conf.
  - C{tracked}: health checks of what those instances track.
  - C{vrrp}: groups of the instances in them.
  - C{checked}: writes the text, and the files of passwords, and loads the text as txcarp will.
"""
