"""
Doctors on two hosts, with trouble of each kind (L{tests.ailments} has all of it).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.ailments import available, wrong
from txcarp.testbed.namespaces import TestbedUnavailable, enable

#: What is provoked here; the others run with C{python -m tests.ailments}.
_HERE = (
    ("healthy", "healthy-both", "healthy-snooping")
    + ("nft-policy", "reverse-path", "snooping", "leftover", "memory")
    + ("one-way", "clock")
)

#: The one that is mended.
_MENDED = "nft-policy"


class DoctorTests(SynchronousTestCase):
    """
    C{txcarp doctor} on both hosts.
    """

    def test_named(self) -> None:
        """
        Each trouble is named rightly, a command that is printed mends it, and there is no false
        alarm.
        """
        try:
            enable()  # before there is a second thread
        except TestbedUnavailable as error:
            if os.environ.get("CI"):
                raise
            raise SkipTest(str(error)) from None
        chosen = [one for one in available() if one.name in _HERE]
        self.assertEqual(len(chosen), len(_HERE))
        with ThreadPoolExecutor(4) as pool:
            mend = [one.name == _MENDED for one in chosen]
            problems = pool.map(wrong, chosen, mend)
            for one, problem in zip(chosen, problems, strict=True):
                self.assertEqual((one.name, problem), (one.name, ""))
