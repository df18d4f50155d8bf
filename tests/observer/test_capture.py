"""
Tests for L{txcarp.observer.capture} and L{txcarp.observer.review}: C{txcarp observe --pcap}.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.observer import captures
from tests.observer.captures import BEGIN
from txcarp.commands.observe import main
from txcarp.observer.capture import BrokenCapture, Captured, readCapture
from txcarp.observer.review import Review

ALPHA, BETA = "10.99.0.1", "10.99.0.2"


def carp(source: str = ALPHA, **fields: Any) -> bytes:
    """
    An advertisement.
    """
    body = crafted.payload(**{"vhid": 7, "advbase": 1, "advskew": 0, **fields})
    return crafted.packet(body, source=source)


def read(data: bytes) -> list[Captured]:
    """
    The packets of a capture.
    """
    return list(readCapture(io.BytesIO(data)))


class CaptureTests(SynchronousTestCase):
    """
    Tests for L{readCapture}.
    """

    packets = ((0.25, carp()), (1.5, carp(BETA)))

    def test_pcap(self) -> None:
        """
        pcap in both orders of bytes and both units of time.
        """
        for order in "<>":
            for parts in (10**6, 10**9):
                found = read(captures.pcap(self.packets, order=order, parts=parts))
                self.assertEqual([one.data for one in found], [data for _, data in self.packets])
                for one, (after, _) in zip(found, self.packets, strict=True):
                    self.assertAlmostEqual(one.when, BEGIN + after, 5)
                self.assertEqual(found[0].hardware.hex(":"), "02:00:00:00:00:07")

    def test_links(self) -> None:
        """
        Ethernet with and without VLAN tags, cooked captures, and IP alone.
        """
        for kind, here, name in (
            *((captures.ETHERNET, False, ""), (captures.RAW, False, "")),
            *((captures.COOKED, False, ""), (captures.COOKED, True, "")),
            *((captures.COOKED2, False, "#3"), (captures.COOKED2, True, "#3")),
        ):
            for data in (carp(), crafted.packet6(crafted.payload())):
                [one] = read(captures.pcap([(0, data)], kind, here=here))
                self.assertEqual((one.data, one.here, one.interface), (data, here, name))
        tags = bytes.fromhex("88a800058100 2007".replace(" ", ""))
        for cut, name in ((4, ".7"), (0, ".5.7")):
            [one] = read(captures.pcap([(0, carp())], tags=tags[cut:]))  # type: ignore[arg-type]
            self.assertEqual((one.data, one.interface), (carp(), name))
        self.assertEqual(read(captures.pcap([(0, carp())], captures.LOOPBACK)), [])
        arp = bytearray(captures.pcap([(0, carp())]))
        arp[24 + 16 + 13] = 6
        self.assertEqual(read(bytes(arp)), [])

    def test_pcapng(self) -> None:
        """
        pcapng: several sections and interfaces, three kinds of packets, other blocks, and times in
        other units.
        """
        for order in "<>":
            found = read(captures.pcapng(self.packets, order))
            self.assertEqual([one.data for one in found], [data for _, data in self.packets])
            self.assertEqual({one.interface for one in found}, {"eth3"})
            self.assertAlmostEqual(found[1].when, BEGIN + 1.5, 5)
        data = captures.frame(carp())
        whole = captures.section() + captures.block(5, bytes(20))
        whole += captures.interface("eth0", resolution=9) + captures.interface("eth1\x1b", 101)
        whole += captures.packet(2, data, parts=10**9) + captures.packet(3, carp(), 1, kind=2)
        whole += captures.packet(0, data, kind=3)
        whole += captures.section(">") + captures.interface("", order=">", resolution=0x80 | 10)
        whole += captures.packet(4, data, order=">", parts=1024)
        found = read(whole)
        self.assertEqual([one.interface for one in found], ["eth0", "eth1?", "eth0", ""])
        self.assertEqual([round(one.when - BEGIN, 3) for one in found], [2, 3, 3, 4])
        self.assertEqual({one.data for one in found}, {carp()})

    def test_broken(self) -> None:
        """
        What is read before the broken place counts; the error says where that is.
        """
        begun = captures.pcap(self.packets[:1])
        claims = struct.pack("<IIII", 0, 0, 1 << 30, 60)
        ng = captures.section() + captures.interface("eth0")
        long = bytearray(captures.packet(0, captures.frame(carp())))
        struct.pack_into("<I", long, 8 + 12, 5000)
        for data, count, words in (
            (b"", 0, "neither pcap nor pcapng"),
            (b"GIF89a", 0, "neither pcap nor pcapng"),
            (begun[:20], 0, "ends in the middle of the header"),
            (begun[:-1], 0, "ends in the middle of packet 1"),
            (begun + claims, 1, "packet 2 claims to have 1073741824 bytes"),
            (begun + claims[:7], 1, "ends in the middle of packet 2"),
            (ng[:8], 0, "ends in the middle of block 1"),
            (ng[:8] + bytes(20), 0, "unknown order of bytes"),
            (ng + captures.packet(0, b"", 1), 0, "block 3 is from an interface that is not"),
            (ng + struct.pack("<II", 6, 13), 0, "block 3 claims to have 13 bytes"),
            (ng + struct.pack("<II", 6, 0), 0, "block 3 claims to have 0 bytes"),
            (ng + struct.pack("<II", 6, 1 << 31), 0, "claims to have"),
            (ng + struct.pack("<IIII", 6, 16, 0, 20), 0, "block 3 has two different lengths"),
            (ng + captures.block(6, bytes(8)), 0, "block 3 has no packet"),
            (ng + bytes(long), 0, "block 3 claims a packet of 5000 bytes"),
            (ng + captures.block(1, bytes(4)), 0, "block 3 describes no interface"),
            (captures.section() + captures.interface() * 1025, 0, "more than 1024 interfaces"),
        ):
            found = []
            with self.assertRaises(BrokenCapture) as raised:
                for one in readCapture(io.BytesIO(data)):
                    found.append(one)
            self.assertIn(words, str(raised.exception))
            self.assertEqual(len(found), count, words)

    def test_anything(self) -> None:
        """
        Whatever is changed in a capture, nothing else is raised.
        """
        generator = random.Random(11)
        originals = [
            captures.pcap(self.packets),
            captures.pcap(self.packets, captures.COOKED2),
            captures.pcapng(self.packets),
            captures.pcapng(self.packets, ">"),
        ]
        for _ in range(3000):
            data = bytearray(generator.choice(originals))
            for _ in range(generator.randrange(1, 5)):
                data[generator.randrange(len(data))] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
            try:
                read(bytes(data[: generator.randrange(len(data) + 1)]))
            except BrokenCapture:
                pass

    def test_tcpdump(self) -> None:
        """
        tcpdump reads the same captures in the same way.
        """
        tcpdump = shutil.which("tcpdump", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if tcpdump is None:
            raise SkipTest("tcpdump is not installed: 'apt-get install tcpdump'")
        path = self.mktemp()
        for data in (captures.pcap(self.packets), captures.pcapng(self.packets)):
            Path(path).write_bytes(data)
            words = [tcpdump, "-n", "-tt", "-r", path]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            times = [float(line.split()[0]) for line in done.stdout.splitlines() if "IP " in line]
            self.assertEqual(times, [round(one.when, 6) for one in read(data)])


class ReviewTestCase(SynchronousTestCase):
    """
    The command, with a capture.
    """

    def review(self, data: bytes, *words: str) -> tuple[int, str, str]:
        """
        Run the command on a capture.

        @return: Its status, what it printed, and its errors.
        """
        path = Path(self.mktemp())
        path.mkdir()
        (path / "x.pcap").write_bytes(data)
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        status = main(["--pcap", str(path / "x.pcap"), *words])
        self.assertEqual(os.listdir(path), ["x.pcap"])
        return status, output.getvalue(), errors.getvalue()


class ReviewTests(ReviewTestCase):
    """
    Tests for L{review}.
    """

    def story(self) -> list[tuple[float, bytes]]:
        """
        A master bows out, its successor falls silent, and a third time there are two masters.
        """
        found = [(float(second), carp()) for second in range(5)]
        found += [(5.0, carp(advbase=255, advskew=255))]
        found += [(5.01 + second, carp(BETA)) for second in range(5)]
        found += [(20.0 + second, carp()) for second in range(10)]
        found += [(25.5 + second, carp(BETA)) for second in range(5)]
        return sorted(found)

    def test_text(self) -> None:
        """
        What happened, at the times of the capture, and the summary.
        """
        for data in (captures.pcap(self.story()), captures.pcapng(self.story(), name="x.pcap")):
            status, output, errors = self.review(data)
            self.assertEqual((status, errors), (0, ""))
            events, _, end = output.partition("\n\n")
            said = [line.partition("  ")[2] for line in events.splitlines()]
            for number, words in enumerate((
                "x.pcap  CARP 7: 10.99.0.1 is master",
                "x.pcap  CARP 7: 10.99.0.1 resigned",
                "x.pcap  CARP 7: 10.99.0.2 is the new master: 10.99.0.1 bowed out 10 ms earlier",
                "x.pcap  CARP 7: NO MASTER since",
                "x.pcap  CARP 7: 10.99.0.1 is the new master: 10.99.0.2 was silent for 11 s",
                "x.pcap  CARP 7: TWO MASTERS since",
            )):
                self.assertTrue(said[number].startswith(words), said[number])
            self.assertEqual(len(said), 6)
            self.assertIn("Observed for 30 s: 1 group.\n", end)
            self.assertEqual(end.split("\n    ")[1:], [
                "several masters once, for 4.0 s in all",
                "2 changes of master",
                "1 bow-out",
                "no advertisement of a master twice, for 11 s in all\n",
            ])
            self.assertIn("CARP 7: 2 MASTERS in the end, 10.99.0.1 and 10.99.0.2\n", end)

    def test_json(self) -> None:
        """
        The same as objects.
        """
        status, output, _ = self.review(captures.pcap(self.story()), "--json")
        records = [json.loads(line) for line in output.splitlines()]
        self.assertEqual(status, 0)
        self.assertEqual(
            [one["event"] for one in records if one["event"] != "seal"],
            ["group", "bow-out", "master", "silent", "master", "two-masters", "summary"],
        )
        self.assertEqual(records[0]["time"], "2026-02-02T02:40:00.000Z")
        end = records[-1]
        self.assertEqual((end["changes"], end["bow_outs"], end["two_masters"]), (2, 1, 1))

    def test_broken(self) -> None:
        """
        A broken capture is shown up to that place, with status 2.
        """
        status, output, errors = self.review(captures.pcap(self.story()) + b"x")
        self.assertEqual(status, 2)
        self.assertIn("Observed for 30 s", output)
        self.assertEqual(errors, "txcarp observe: x.pcap: it ends in the middle of packet 27\n")
        status, output, errors = self.review(b"x")
        self.assertEqual((status, output), (2, ""))
        self.assertIn("it is not a capture", errors)
        output, errors_ = io.StringIO(), io.StringIO()
        self.patch(sys, "stderr", errors_)
        self.assertEqual(main(["--pcap", "/nonexistent/x"]), 2)
        self.assertIn("/nonexistent/x: No such file", errors_.getvalue())

    def test_nothing(self) -> None:
        """
        A capture without advertisements has status 1.
        """
        status, output, _ = self.review(captures.pcap([(0, crafted.packet(protocol=17))]))
        self.assertEqual((status, output), (1, "\nObserved for 0 ms: 0 groups.\n"))

    def test_times(self) -> None:
        """
        Times that go back or leap by years cost nothing and say nothing.
        """
        packets = [(0.0, carp()), (1.0, carp()), (-500.0, carp()), (3e9, carp()), (3e9 + 1, carp())]
        data = captures.pcap(packets[:3])
        _, output, _ = self.review(data)
        self.assertEqual(len(output.splitlines()), 5)
        leap = captures.section() + captures.interface("e", resolution=0)
        leap += b"".join(
            captures.packet(after, captures.frame(one), parts=1) for after, one in packets
        )
        _, output, _ = self.review(leap)
        self.assertIn("1 group", output)

    def test_pipe(self) -> None:
        """
        A capture can come from a pipe.
        """
        done = subprocess.run(
            [sys.executable, "-m", "txcarp", "observe", "--pcap", "-"],
            input=captures.pcap(self.story()),
            cwd=Path(__file__).parent.parent.parent,
            capture_output=True,
            check=True,
        )
        self.assertIn(b"TWO MASTERS since", done.stdout)
        self.assertIn(b"  -  CARP 7", done.stdout)

    def test_interrupted(self) -> None:
        """
        After Ctrl-C, the summary is of what was read.
        """

        class Interrupted(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() > 600:
                    raise KeyboardInterrupt
                return super().read(size)

        output = io.StringIO()
        self.patch(sys, "stdout", output)
        file = Interrupted(captures.pcap(self.story()))
        self.assertEqual(Review(file, "x", False, None).run(), 0)
        self.assertIn("Observed for ", output.getvalue())


class VerifiedTests(ReviewTestCase):
    """
    With the password and the addresses of a group.
    """

    def verified(self, packets: Sequence[tuple[float, bytes]], *words: str) -> str:
        """
        What is said of a capture.
        """
        password = Path(self.mktemp())
        password.write_bytes(crafted.PASSWORD + b"\n")
        password.chmod(0o600)
        given = "-o", str(password), "-a", f"{crafted.ADDRESS}/24", *words
        _, output, errors = self.review(captures.pcap(packets), *given)
        self.assertEqual(errors, "")
        return output

    def sealedBy(self, source: str, second: float, **fields: Any) -> bytes:
        """
        A sealed advertisement.
        """
        tick = round((BEGIN + second - 1577836800) * 100)
        return crafted.sealedPacket(tick, source, advbase=1, **fields)

    def test_verified(self) -> None:
        """
        Digests and seals of the first advertisement are verified.
        """
        packets = [(float(second), self.sealedBy(ALPHA, second)) for second in range(2)]
        first, *_ = self.verified(packets, "--json").splitlines()
        record = json.loads(first)
        self.assertEqual((record["verified"], record["sealed"]), (True, True))
        # ucarp has no seals.
        first, *_ = self.verified([(0.0, carp(vhid=crafted.VHID))], "--json").splitlines()
        record = json.loads(first)
        self.assertEqual((record["verified"], record["sealed"]), (True, False))

    def test_otherPassword(self) -> None:
        """
        A host with another password is named as the cause of two masters.
        """
        packets = []
        for second in range(8):
            packets.append((float(second), self.sealedBy(ALPHA, second)))
            other = self.sealedBy(BETA, second, password=b"other")
            packets.append((second + 0.5, other))
        output = self.verified(packets)
        self.assertIn(f"{BETA} SIGNS WITH ANOTHER PASSWORD OR FOR OTHER ADDRESSES", output)
        self.assertRegex(
            output, rf"TWO MASTERS since .*\. {BETA} signs with another password or for other addr"
        )
        self.assertIn("1 time another password or other addresses", output)
        leaving = crafted.payload(
            vhid=crafted.VHID, advbase=255, advskew=255, counter=5, password=b"other"
        )
        packets.append((8.0, crafted.packet(leaving, source=BETA)))
        output = self.verified(packets)
        self.assertIn(f"{BETA} resigned", output)

    def test_forgedBowOut(self) -> None:
        """
        A bow-out that no member believes makes nobody resign.
        """
        packets = [(float(second), self.sealedBy(ALPHA, second)) for second in range(6)]
        forged = carp(advbase=255, advskew=255, vhid=crafted.VHID, badDigest=True)
        output = self.verified(sorted([*packets, (3.5, forged)]))
        self.assertIn("a bow-out from 10.99.0.1, which signs with another password", output)
        self.assertNotIn("resigned", output)
        self.assertIn("0 changes of master", output)

    def test_replay(self) -> None:
        """
        An old advertisement that is sent again is named, and makes no second master.
        """
        packets = [(float(second), self.sealedBy(ALPHA, second)) for second in range(4)]
        packets += [(4.0 + second, self.sealedBy(BETA, 4 + second)) for second in range(8)]
        packets += [(6.5 + second, packets[2][1]) for second in range(3)]
        output = self.verified(sorted(packets))
        self.assertIn(f"AN OLD ADVERTISEMENT of {ALPHA} was sent again", output)
        self.assertNotIn("TWO MASTERS", output)
        self.assertIn("3 old advertisements sent again", output)

    def test_severalPeers(self) -> None:
        """
        An advertisement to several peers, or seen twice, is no replay.
        """
        packets = []
        for second in range(4):
            one = self.sealedBy(ALPHA, second)
            packets += [(second + 0.0, one), (second + 0.01, one)]
        self.assertNotIn("OLD", self.verified(packets))

    def test_wrongPassword(self) -> None:
        """
        If nothing fits, the summary says so, and no host is blamed.
        """
        packets = [(float(second), carp(password=b"other")) for second in range(3)]
        output = self.verified(packets)
        self.assertIn("No advertisement has the digest of this password", output)
        self.assertNotIn("ANOTHER PASSWORD", output)
        self.assertIn("ANOTHER PASSWORD", self.verified(packets, "-v", "7"))

    def test_otherGroups(self) -> None:
        """
        Hosts of another group are not blamed.
        """
        packets = [(float(second), self.sealedBy(ALPHA, second)) for second in range(3)]
        packets += [(0.5 + second, carp(BETA, vhid=99)) for second in range(3)]
        self.assertNotIn("ANOTHER", self.verified(sorted(packets)))


class UsageTests(SynchronousTestCase):
    """
    The options.
    """

    def test_wrong(self) -> None:
        """
        What does not fit together is refused.
        """
        password = Path(self.mktemp())
        password.write_text("x" * 30)
        for words, said in (
            ([], "give either -i or --pcap"),
            (["-i", "lo", "--pcap", "x"], "give either -i or --pcap"),
            (["--pcap", "x", "--once", "1"], "a capture has an end"),
            (["--pcap", "x", "-o", "x"], "give both -o and -a"),
            (["--pcap", "x", "-a", "10.1.1.1"], "give both -o and -a"),
            (["--pcap", "x", "-v", "7"], "-v needs -o and -a"),
            (["--pcap", "x", "-v", "256"], "'256' is not a number from 1 to 255"),
            (["--pcap", "x", "-o", "/none", "-a", "10.1.1.1"], "unable to open passfile /none"),
            (["--pcap", "x", "-o", str(password), "-a", "10.1.1.1"], "30 bytes; a password has"),
        ):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            self.assertEqual(self.assertRaises(SystemExit, main, words).code, 1)
            self.assertIn(said, errors.getvalue())
            self.assertNotIn("xxxx", errors.getvalue())
