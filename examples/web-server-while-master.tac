# A web server that runs on the master of a pair only, bound to the virtual
# address:
#
#     twistd --nodaemon --python examples/web-server-while-master.tac
#
# on both hosts, each with its own CARP_SOURCE, and CARP_SKEW=100 on the one
# that is to be the backup.
#
# The server starts when the kernel has the address, not before: it could not
# be bound to it. It has ended before the address leaves. A host on which it
# cannot start, because something else has the port, is not master: it says
# why, lets the other one, and tries again ten seconds later.

import os
import socket
from pathlib import Path

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from txcarp import CARPService, VirtualHostConfiguration, defaultStateDirectory, parseIPv4

VIRTUAL = os.environ.get("CARP_ADDRESS", "10.1.1.252/24")
PORT = os.environ.get("WEB_PORT", "80")
INTERFACE = os.environ.get("CARP_INTERFACE", "eth0")
PASSWORD = Path(os.environ.get("CARP_PASSWORD_FILE", "/etc/txcarp/password"))

carp = CARPService(
    [
        VirtualHostConfiguration(
            interface=INTERFACE,
            vhid=1,
            password=PASSWORD.read_bytes().splitlines()[0],
            source=parseIPv4(os.environ.get("CARP_SOURCE", "10.1.1.1")),
            addresses=[VIRTUAL],
            advskew=int(os.environ.get("CARP_SKEW", "0")),
            assign=True,
        )
    ],
    stateFile=str(defaultStateDirectory() / f"{INTERFACE}-1.json"),
)
[host] = carp.virtualHosts

name = os.environ.get("WEB_NAME", socket.gethostname())
root = Resource()
root.putChild(b"", Data(f"You are talking to {name}.\n".encode(), "text/plain"))
# What service() makes raises when it cannot listen, so that the host knows.
web = service(f"tcp:{PORT}:interface={VIRTUAL.partition('/')[0]}", Site(root))
host.whileMaster(web)

application = Application("web-server-while-master")
carp.setServiceParent(application)
