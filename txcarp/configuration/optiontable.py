"""
The options of a virtual host that have one value or none, with their defaults and what the
help says of them, in the form of C{twisted.python.usage}.
"""

from __future__ import annotations

from typing import Any

from txcarp.configuration.optionvalues import choice, delay, hardwareOf, number, seconds, vhid
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.seal import Verification

#: Long name, short name, default, help, and what reads the value.
PARAMETERS: list[list[Any]] = [
    ["interface", "i", None, "bind to this interface; the first one that is up by default"],
    ["vhid", "v", None, "number of the virtual host, 1-255", vhid],
    ["advbase", "b", 1, "seconds between advertisements", number(0, 255, "-b, --advbase")],
    [
        "advskew",
        "k",
        0,
        "256ths of a second more, 0-255; higher is less preferred",
        number(0, 255, "-k, --advskew"),
    ],
    ["upscript", "u", None, "run this file on becoming master"],
    ["downscript", "d", None, "run this file on becoming backup"],
    [
        "deadratio",
        "r",
        3,
        "how many bases of silence make a master dead",
        number(0, 2**32 - 1, "-r, --deadratio"),
    ],
    ["facility", "f", "daemon", "syslog facility, or none"],
    ["xparam", "x", None, "one more argument for both scripts"],
    [
        "script-timeout",
        None,
        None,
        "seconds that a script may take; 0 for no limit [0]",
        seconds("--script-timeout"),
    ],
    [
        "announce-every",
        None,
        60.0,
        "seconds after which a master announces its addresses again; 0 for never",
        seconds("--announce-every"),
    ],
    [
        "dialect",
        None,
        "ucarp",
        f"whose rules hold in the group: {', '.join(DIALECTS)}",
        choice("--dialect", DIALECTS),
    ],
    [
        "preempt-delay",
        None,
        None,
        "preempt, but only after so many seconds as a backup in good order",
        delay("--preempt-delay"),
    ],
    [
        "start-delay",
        None,
        None,
        "seconds after the start for which this host does not become master",
        seconds("--start-delay"),
    ],
    [
        "flap-limit",
        None,
        "10/60",
        "CHANGES/SECONDS: so many times a backup again within so many seconds, wait as "
        "long before becoming master; or none",
    ],
    [
        "seal",
        None,
        Verification.LEARN.value,
        "seals against replays: off; learn (who once sealed must go on); require",
        choice("--seal", [mode.value for mode in Verification]),
    ],
    [
        "state-file",
        None,
        None,
        "the file that keeps, over a restart, what replays are recognized by; or none "
        "[INTERFACE-VHID.json in /var/lib/txcarp; for users other than root, in "
        "~/.local/state/txcarp]",
    ],
    [
        "signed-lladdr",
        None,
        None,
        "the hardware address of OpenBSD peers, if it was set by hand",
        hardwareOf("--signed-lladdr"),
    ],
    [
        "virtual-mac-address",
        None,
        None,
        "as --virtual-mac, with this hardware address",
        hardwareOf("--virtual-mac-address"),
    ],
]

#: Long name, short name, help.
FLAGS: list[list[str | None]] = [
    ["preempt", "P", "take over from a slower master that lives"],
    ["neutral", "n", "do not run the down script at start"],
    ["shutdown", "z", "run the down script when a master is stopped"],
    ["daemonize", "B", "run in the background"],
    ["ignoreifstate", "S", "ignore the state of the interface (no carrier)"],
    ["assign", None, "add and remove the addresses without scripts, as leases"],
    [
        "virtual-mac",
        None,
        "with --assign: the addresses have the hardware address 00:00:5e:00:01:VHID, "
        "which moves with them",
    ],
    ["any-family", None, "take over when one family is silent, as the BSD kernels do"],
    ["release-first", None, "on leaving, give everything back before saying so"],
    ["nomcast", "M", "send to the Ethernet broadcast address"],
    ["debug", "D", "log each packet"],
]

#: What the help ends with.
EXAMPLES = """
Two hosts share 10.1.1.252; run this on both, each with its own address:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password -a 10.1.1.252 \\
      -u /etc/txcarp/vip-up.sh -d /etc/txcarp/vip-down.sh -z

The second host, used only while the first one is down, adds -k 100; the first
one adds -P to take the address back when it returns. With IPv4 and IPv6
addresses, and without scripts:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password \\
      -a 10.1.1.252/24 -a 2001:db8::252/64 --assign -z

See it work on this machine alone with: txcarp demo
See who is master on a network with:    txcarp observe -i eth0

Exit status: 0 after an orderly end, 1 for a wrong command line, 2 if it cannot
run (no privileges, an impossible setting); ended by a signal without -z.
"""
