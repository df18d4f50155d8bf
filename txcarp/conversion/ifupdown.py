"""
Debian's interfaces(5) with the options of its package ucarp.
"""

from __future__ import annotations

import glob
import ipaddress
import os
from collections.abc import Callable, Iterator

import attrs

from txcarp.conversion.draft import Conversion, Place

#: How deeply files may name others.
_DEPTH = 8

#: The scripts of the package, which bring the interface NAME:ucarp up and down.
_SCRIPTS = ("/usr/share/ucarp/vip-up", "/usr/share/ucarp/vip-down")

_ADDRESS_FREE = ("no", "off", "false", "0", "")


@attrs.frozen
class _Stanza:
    name: str
    place: Place
    options: dict[str, tuple[str, Place]] = attrs.field(factory=dict)

    def get(self, name: str) -> str:
        return self.options.get(name, ("", self.place))[0]

    def isOn(self, name: str) -> bool:
        return self.get(name) not in _ADDRESS_FREE


def convert(
    text: str, path: str, conversion: Conversion, readFile: Callable[[str], str]
) -> None:
    """
    Make a group of each interface with a C{ucarp-vid}.

    @param readFile: Returns the text of another file; raises C{OSError}.
    """
    stanzas = list(_stanzas(text, path, conversion, readFile, 0))
    for stanza in stanzas:
        if "ucarp-vid" in stanza.options:
            virtual = [one for one in stanzas if one.name == f"{stanza.name}:ucarp"]
            _group(stanza, virtual[0] if virtual else None, conversion)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """
    The lines without comments, with continuations joined.
    """
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        while line.endswith("\\"):
            line = line[:-1] + " " + next(lines, (0, ""))[1]
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _stanzas(
    text: str, path: str, conversion: Conversion, readFile: Callable[[str], str], depth: int
) -> Iterator[_Stanza]:
    stanza: _Stanza | None = None
    for number, line in _lines(text):
        place = Place(path, number)
        keyword, *words = line.split()
        if keyword == "iface" and words:
            stanza = _Stanza(words[0], place)
            yield stanza
        elif keyword in ("source", "source-directory") and words:
            stanza = None
            pattern = os.path.join(os.path.dirname(path), words[0])
            if keyword == "source-directory":
                pattern = os.path.join(pattern, "*")
            for name in sorted(glob.glob(pattern)) if depth < _DEPTH else ():
                try:
                    more = readFile(name)
                except OSError as error:
                    conversion.remark(place, f"{name} cannot be read: {error.strerror}")
                    continue
                yield from _stanzas(more, name, conversion, readFile, depth + 1)
        elif keyword in ("auto", "mapping", "template", "rename") or keyword.startswith("allow-"):
            stanza = None
        elif stanza is not None:
            value = line[len(keyword) :].strip()
            stanza.options[keyword.replace("_", "-")] = value, place


def _group(stanza: _Stanza, virtual: _Stanza | None, conversion: Conversion) -> None:
    place = stanza.options["ucarp-vid"][1]
    draft = conversion.add(f"{stanza.name}-{stanza.get('ucarp-vid')}", place)
    settings = draft.settings
    settings["interface"] = stanza.name
    for option, key in (
        ("ucarp-vid", "vhid"),
        ("ucarp-advbase", "advbase"),
        ("ucarp-advskew", "advskew"),
        ("ucarp-deadratio", "dead_ratio"),
    ):
        if text := stanza.get(option):
            if text.isdecimal():
                settings[key] = int(text)
            else:
                conversion.remark(stanza.options[option][1], f"{option} is not a number: {text}")
    address = stanza.get("ucarp-vip")
    source = stanza.get("ucarp-srcip") or stanza.get("address").partition("/")[0]
    if source:
        settings["source"] = source
    scripts = [stanza.get("ucarp-upscript"), stanza.get("ucarp-downscript")]
    if stanza.isOn("ucarp-assign") or scripts in (["", ""], list(_SCRIPTS)):
        length = _prefixLength(virtual or stanza)
        settings["addresses"] = [f"{address.partition('/')[0]}/{length}" if length else address]
        if not stanza.isOn("ucarp-assign"):
            conversion.remark(
                place,
                "the scripts of Debian's package are left out, because txcarp adds the address "
                "itself, on lease",
            )
        if virtual is not None:
            conversion.remark(virtual.place, f"remove {virtual.name}: txcarp adds its address")
    else:
        settings["addresses"] = [address]
        settings["up_script"] = scripts[0] or _SCRIPTS[0]
        settings["down_script"] = scripts[1] or _SCRIPTS[1]
    if stanza.isOn("ucarp-master"):
        settings["preempt"] = True
    if stanza.isOn("ucarp-nomcast"):
        settings["broadcast"] = True
    if stanza.get("ucarp-xparam"):
        settings["script_parameter"] = stanza.get("ucarp-xparam")
    if stanza.get("ucarp-passfile"):
        settings["passfile"] = stanza.get("ucarp-passfile")
    elif stanza.get("ucarp-password"):
        password = stanza.get("ucarp-password").encode("utf-8", "surrogateescape")
        conversion.password(draft, stanza.options["ucarp-password"][1], password)
    for option in stanza.options:
        if option.startswith("ucarp") and option not in _KNOWN:
            conversion.remark(stanza.options[option][1], f"{option} does not carry over")
    conversion.remark(
        stanza.place,
        f"remove the options of ucarp from {stanza.name} when txcarp has this file; ifup would "
        "start a daemon of its own",
    )


_KNOWN = (
    *("ucarp-vid", "ucarp-vip", "ucarp-password", "ucarp-passfile", "ucarp-upscript"),
    *("ucarp-downscript", "ucarp-advbase", "ucarp-advskew", "ucarp-deadratio", "ucarp-xparam"),
    *("ucarp-master", "ucarp-nomcast", "ucarp-srcip", "ucarp-assign"),
)


def _prefixLength(stanza: _Stanza) -> str:
    """
    The length of the network prefix of a stanza; empty if it is not known.
    """
    netmask = stanza.get("address").partition("/")[2] or stanza.get("netmask")
    try:
        return str(ipaddress.IPv4Network(f"0.0.0.0/{netmask}").prefixlen) if netmask else ""
    except ValueError:
        return ""
