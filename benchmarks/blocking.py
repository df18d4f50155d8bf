"""
C{txcarp} with a service in the same process that blocks the reactor for five seconds when the
process receives the first real-time signal::

    python -m benchmarks.blocking OPTIONS OF TXCARP
"""

from __future__ import annotations

import signal
import sys
import time

from txcarp.commands.main import main

#: The signal.
SIGNAL = signal.SIGRTMIN

#: Seconds for which the reactor is blocked.
SECONDS = 5.0

if __name__ == "__main__":
    signal.signal(SIGNAL, lambda *_: time.sleep(SECONDS))
    sys.exit(main())
