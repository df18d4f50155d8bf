"""
Where the files of a running txcarp are unless the settings say otherwise.
"""

from __future__ import annotations

#: The directory of the state files (FHS 3.0, section 5.8).
STATE_DIRECTORY = "/var/lib/txcarp"

#: The path of the socket that commands reach a running process through (FHS 3.0, section 3.15).
CONTROL_SOCKET = "/run/txcarp/control.sock"
