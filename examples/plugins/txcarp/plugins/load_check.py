"""
A health check of one's own: whether this host has less to do than it can.

Install this file as C{txcarp/plugins/load_check.py} where Python finds modules, without an
C{__init__.py}; C{PYTHONPATH=/etc/txcarp/python} makes C{/etc/txcarp/python} such a directory.
In the configuration file::

    [group.web.check.load]
    plugin = "load"
    arguments = {limit = 8}
    demote = 50
"""

import os

import attrs
from zope.interface import implementer

from txcarp import CheckPlugin, ICheck


@implementer(ICheck)
@attrs.frozen
class LoadCheck:
    limit: float = 4.0

    def run(self, platform, timeout):
        load = os.getloadavg()[0]
        if load > self.limit:
            raise ValueError(f"the load is {load:.1f}, more than {self.limit:g}")
        return f"the load is {load:.1f}"


load = CheckPlugin("load", LoadCheck)
