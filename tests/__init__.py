"""
The tests of txcarp; see L{tests.__main__} for all that is checked.
"""

from __future__ import annotations

from hypothesis import settings

# A machine that does something else at the same time is no failure.
settings.register_profile("txcarp", deadline=None, print_blob=True)
settings.load_profile("txcarp")
