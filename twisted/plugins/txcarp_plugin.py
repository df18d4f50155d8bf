"""
What twistd finds.  A fault in here would show at every twistd command of the
host, so nothing of txcarp is imported.
"""

from twisted.application.service import ServiceMaker

carp = ServiceMaker(
    "CARP",
    "txcarp.daemon.program",
    "Share IP addresses between hosts by CARP; takes a ucarp command line.",
    "txcarp",
)
