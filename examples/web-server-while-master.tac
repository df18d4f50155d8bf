# A web server that listens on a virtual address, and runs only on the master.
#
# Install the password, then start this on the first host:
#
#     CARP_SOURCE=10.1.1.1 \
#         twistd --nodaemon --python examples/web-server-while-master.tac
#
# and on the second host, which is to be the backup:
#
#     CARP_SOURCE=10.1.1.2 CARP_SKEW=100 \
#         twistd --nodaemon --python examples/web-server-while-master.tac
#
# The other settings are the variables below.
#
# The server starts after the kernel has added the address: it could not bind to
# the address earlier. It stops before the address is removed. If the server
# cannot start on a host, because another program uses the port for example, the
# host gives up mastership, logs the reason, and tries again after ten seconds.

import os
import socket
from pathlib import Path

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from txcarp import CARPService, VirtualHostConfiguration, defaultStateDirectory

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
            source=os.environ.get("CARP_SOURCE", "10.1.1.1"),
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
web = service(f"tcp:{PORT}:interface={VIRTUAL.partition('/')[0]}", Site(root))
host.whileMaster(web)

application = Application("web-server-while-master")
carp.setServiceParent(application)
