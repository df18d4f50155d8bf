"""
What the virtual hosts of a process must still know after a restart.

In reading order:

  - C{store}: collects the changes of all virtual hosts, and has them written at once.
  - C{format}: the lines of the state file.
  - C{file}: the file on disk, which belongs to one process at a time.
  - C{writer}: writes the file in a process of its own.
  - C{requests}: requests to the process that uses a state file.
"""
