"""
What commands print.

In reading order:

  - C{output}: standard output whose reader may go away.
  - C{live}: tables and live pictures; only commands with tables import it.
"""
