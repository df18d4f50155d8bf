# Two hosts share two addresses, and each host is the preferred master of one.
#
# Install the scripts and the password, then start this on the first host:
#
#     CARP_SOURCE=10.1.1.1 twistd --nodaemon --python examples/two-addresses.tac
#
# and on the second host, where the skews are the other way round:
#
#     CARP_SOURCE=10.1.1.2 CARP_SKEWS=100,0 \
#         twistd --nodaemon --python examples/two-addresses.tac
#
# The other settings are the variables below.

import os
from pathlib import Path

from twisted.application.service import Application
from twisted.logger import Logger
from zope.interface import implementer

from txcarp import (
    CARPService,
    Change,
    IReadinessObserver,
    Readiness,
    VirtualHostConfiguration,
    defaultStateDirectory,
)

INTERFACE = os.environ.get("CARP_INTERFACE", "eth0")
SOURCE = os.environ.get("CARP_SOURCE", "10.1.1.1")
PASSWORD = Path(os.environ.get("CARP_PASSWORD_FILE", "/etc/txcarp/password"))
SCRIPTS = Path(os.environ.get("CARP_SCRIPTS", "/etc/txcarp"))
SKEWS = os.environ.get("CARP_SKEWS", "0,100").split(",")


@implementer(IReadinessObserver)
class Reporter:
    """
    Logs each change of role, and when it is carried out.  Another program could start and stop
    its work here.
    """

    log = Logger("example")

    def roleChanged(self, change: Change) -> None:
        self.log.info(
            "virtual host {vhid}: {previous} -> {role}, {why}",
            vhid=change.vhid,
            previous=change.previous.value,
            role=change.role.value,
            why=change.explain(),
        )

    def readinessChanged(self, change: Change, readiness: Readiness) -> None:
        self.log.info(
            "virtual host {vhid}: {readiness}", vhid=change.vhid, readiness=readiness.value
        )


carp = CARPService(
    [
        VirtualHostConfiguration(
            interface=INTERFACE,
            vhid=vhid,
            password=PASSWORD.read_bytes().splitlines()[0],
            source=SOURCE,
            addresses=[address],
            advskew=int(skew),
            preempt=True,
            shutdown=True,
            upScript=str(SCRIPTS / "vip-up.sh"),
            downScript=str(SCRIPTS / "vip-down.sh"),
            parameter="24",
        )
        for vhid, address, skew in ((1, "10.1.1.252", SKEWS[0]), (2, "10.1.1.253", SKEWS[1]))
    ],
    stateFile=str(defaultStateDirectory() / "state.json"),
)
for host in carp.virtualHosts:
    host.addObserver(Reporter())

application = Application("two-addresses")
carp.setServiceParent(application)
