"""
The tests of txcarp; see L{tests.__main__} for all that is checked.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A machine that does something else at the same time is no failure.
settings.register_profile(
    "txcarp", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("txcarp")
