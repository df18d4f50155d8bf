"""
A program with a web site of its own, which also tells the state of its CARP groups.

Run it as root, on both hosts, each with its own address:

    twistd -ny carp-in-a-site.tac

http://10.1.1.252/carp/v1/status has the state of all groups as JSON, /carp/v1/events what happens,
and /carp/readyz tells a load balancer whether all is well.  docs/control.rst has more.
"""

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from txcarp import CARPService, ControlResource, VirtualHostConfiguration

web = VirtualHostConfiguration(
    interface="eth0",
    vhid=1,
    password=b"not a secret",
    source="10.1.1.1",  # on the other host, its own address
    addresses=["10.1.1.252/24"],
    assign=True,
)

application = Application("carp-in-a-site")
carp = CARPService([web])
carp.setServiceParent(application)

root = Resource()
root.putChild(b"", Data(b"It works.\n", "text/plain"))
# Everybody can read it, and nobody can change anything: there is no actorOf here.
root.putChild(b"carp", ControlResource(carp))
endpoint = serverFromString(reactor, "tcp:80")
StreamServerEndpointService(endpoint, Site(root)).setServiceParent(application)
