"""
Everything about a virtual host at one moment, for people and other programs.

In reading order:

  - C{snapshot}: the state as one frozen value, and its lines in the log.
  - C{parts}: what that consists of.
  - C{explanation}: why a host is master or is not, in words.
  - C{process}: the state of what all virtual hosts of a process share.
"""
