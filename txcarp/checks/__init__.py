"""
Health checks: whether what this host needs as master works.

In reading order:

  - C{verdict}: what a series of results means, as a value.
  - C{health}: the settings of one check.
  - C{runner}: runs one check at its times.
"""
