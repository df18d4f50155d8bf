"""
The process around the service.

In reading order:

  - C{program}: its options, its services and its logs.
  - C{signals}: what signals do.
  - C{reload}: reads the configuration file again.
  - C{undoing}: a change that is undone unless somebody confirms it.
  - C{glance}: what a file says, without waiting for a disk that hangs.
  - C{notify}: sends a message to the service manager.
  - C{supervision}: what the service manager gets to know all the time.
  - C{capabilities}: what remains of root's rights.
  - C{precautions}: warnings at the start.
  - C{scheduling}: keeps the process on time.
  - C{collector}: keeps the garbage collector from holding it up.
  - C{secrecy}: hides a password from the process list.
"""
