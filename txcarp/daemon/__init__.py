"""
The process around the service.

In reading order:

  - C{program}: its options, its services and its logs.
  - C{signals}: what signals do.
  - C{reload}: reads the configuration file again.
  - C{precautions}: warnings at the start.
  - C{scheduling}: keeps the process on time.
  - C{secrecy}: hides a password from the process list.
"""
