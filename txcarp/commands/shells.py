"""
Scripts that complete command lines in bash, zsh and fish.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from txcarp.commands.grammar import Command, Flag, Value

_BASH = """\
# Completion of txcarp for bash, made by 'txcarp completion bash'.

# Sets "kind" to what can follow an option of a command; empty if nothing follows.
_txcarp_value()
{
    kind=
    case "$1 $2" in
%(values)s
    esac
}

_txcarp_groups()
{
    local index control=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${COMP_WORDS[index]} == --control ]]; then
            control=("${COMP_WORDS[index + 1]}")
            [[ ${control[0]} == "=" ]] && control=("${COMP_WORDS[index + 2]}")
        fi
    done
    "${COMP_WORDS[0]}" completion groups ${control[0]:+--control "${control[0]}"} 2>/dev/null
}

_txcarp()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command= kind= options= files= word index place=0 whole words=() arguments=()
    COMPREPLY=()
    # Bash makes three words of "--option=value".
    if [[ $current == "=" ]]; then
        current=
    elif [[ $previous == "=" ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    ((COMP_CWORD > 1)) && command=${COMP_WORDS[1]}
    case $command in
%(commands)s
    esac
    _txcarp_value "$command" "$previous"
    if [[ -z $kind ]]; then
        if [[ $current == -* ]]; then
            kind=words:$options
        elif ((COMP_CWORD == 1)); then
            kind=%(names)s
        else
            for ((index = 2; index < COMP_CWORD; index++)); do
                word=${COMP_WORDS[index]}
                if [[ $word == -* ]]; then
                    _txcarp_value "$command" "$word"
                    if [[ ${COMP_WORDS[index + 1]} == "=" ]]; then
                        ((index += 2))
                    elif [[ -n $kind ]]; then
                        ((index++))
                    fi
                else
                    ((place++))
                fi
            done
            kind=${arguments[place]}
            [[ -z $kind && ${arguments[-1]} == +* ]] && kind=${arguments[-1]}
            kind=${kind#+}
        fi
    fi
    case $kind in
        file) files=-f ;;
        directory) files=-d ;;
        interface) mapfile -t words < <(cd /sys/class/net 2>/dev/null && printf '%%s\\n' *) ;;
        group) mapfile -t words < <(_txcarp_groups) ;;
        words:*) read -r -a words <<< "${kind#words:}" ;;
    esac
    if [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen "$files" -- "$current")
        return
    fi
    # Bash makes several words of "eth0:7", too, and completes the last of them.
    whole=${COMP_LINE:0:COMP_POINT}
    whole=${whole##*[[:space:]=]}
    local before=
    [[ $whole == *:* ]] && before=${whole%%"${whole##*:}"}
    for word in "${words[@]}"; do
        [[ $word == "$whole"* ]] && COMPREPLY+=("${word#"$before"}")
    done
}

complete -F _txcarp txcarp
"""

_ZSH = """\
# Completion of txcarp for zsh, made by 'txcarp completion zsh'.

_txcarp_groups()
{
    local -a groups
    local control=${opt_args[--control]}
    groups=(${(f)"$(_call_program groups ${(q)_txcarp_program} completion groups \\
        ${control:+--control ${(q)control}} 2>/dev/null)"})
    compadd -a groups
}

_txcarp()
{
    local curcontext="$curcontext" context state line _txcarp_program=$words[1]
    local -a commands
    typeset -A opt_args
    commands=(
%(commands)s
    )
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        _describe -t commands command commands
        return
    fi
    case $words[2] in
%(cases)s
    esac
}

compdef _txcarp txcarp
"""

_FISH = """\
# Completion of txcarp for fish, made by 'txcarp completion fish'.

function __txcarp_is
    set -l words (commandline -opc)
    if test (count $words) -lt 2; or not contains -- $words[2] %(names)s
        test -z "$argv[1]"
    else
        test "$words[2]" = "$argv[1]"
    end
end

function __txcarp_begins
    test (count (commandline -opc)) -lt 2
end

function __txcarp_groups
    set -l words (commandline -opc)
    set -l control
    for index in (seq (count $words))
        switch $words[$index]
            case --control
                set control --control $words[(math $index + 1)]
            case '--control=*'
                set control $words[$index]
        end
    end
    command $words[1] completion groups $control 2>/dev/null
end

complete -c txcarp -f
%(lines)s
"""


def bash(commands: Sequence[Command]) -> str:
    """
    The script for bash 4 and later.
    """
    values, cases = [], []
    for command in commands:
        for flag in command.flags:
            if flag.value is not None:
                patterns = "|".join(quote(f"{command.name} {name}") for name in flag.names)
                kind = "" if flag.isOptional else quote(_bashKind(flag.value) or "any")
                values.append(f"        {patterns}) kind={kind} ;;")
        arguments = " ".join(
            quote(("+" if one.isRepeated else "") + (_bashKind(one) or "any"))
            for one in command.values
        )
        options = quote(" ".join(name for flag in command.flags for name in flag.names))
        pattern = command.name or "*"
        start = "" if command.name else "command="
        lines = [one for one in (start, f"options={options}", f"arguments=({arguments})") if one]
        cases.append(f"        {pattern}) {'; '.join(lines)} ;;")
    cases = [*cases[1:], cases[0]]  # the daemon is what is left
    names = quote("words:" + " ".join(one.name for one in commands if one.name))
    return _BASH % {
        "values": "\n".join(values),
        "commands": "\n".join(cases),
        "names": names,
    }


def _bashKind(value: Value) -> str:
    return f"words:{' '.join(value.words)}" if value.words else value.kind


def zsh(commands: Sequence[Command]) -> str:
    """
    The script for zsh 5 and later.
    """
    described = [
        f"        {quote(f'{one.name}:{one.help}')}" for one in commands if one.name
    ]
    cases = []
    for command in [*commands[1:], commands[0]]:
        specs = [f"            {spec} \\" for spec in _zshSpecs(command)]
        shift = ["            shift words; (( CURRENT-- ))"] if command.name else []
        last = specs.pop().removesuffix(" \\") if specs else ""
        cases += [
            f"        {command.name or '*'})",
            *shift,
            "            _arguments -s \\",
            *(f"    {spec}" for spec in specs),
            f"    {last}",
            "            ;;",
        ]
    return _ZSH % {"commands": "\n".join(described), "cases": "\n".join(cases)}


def _zshSpecs(command: Command) -> Iterator[str]:
    for flag in command.flags:
        said = flag.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
        for name in flag.names:
            others = f"({' '.join(flag.names)})" if len(flag.names) > 1 else ""
            text = f"*{name}" if flag.isRepeated else f"{others}{name}"
            if flag.value is None:
                yield quote(f"{text}[{said}]")
                continue
            equals = "=" if name.startswith("--") else "+"
            colons = "::" if flag.isOptional else ":"
            yield quote(f"{text}{equals}[{said}]{colons}{_zshValue(flag.value)}")
    for value in command.values:
        yield quote(f"{'*' if value.isRepeated else ''}:{_zshValue(value)}")


def _zshValue(value: Value) -> str:
    actions = {
        "file": "_files",
        "directory": "_files -/",
        "interface": "_net_interfaces",
        "group": "_txcarp_groups",
    }
    name = value.name.replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")
    words = f"({' '.join(value.words)})"
    return f"{name}:{words if value.words else actions.get(value.kind, '( )')}"


def fish(commands: Sequence[Command]) -> str:
    """
    The script for fish 3 and later.
    """
    lines = []
    for command in commands:
        if command.name:
            lines.append(
                f"complete -c txcarp -n __txcarp_begins -a {_fishQuote(command.name)} "
                f"-d {_fishQuote(command.help)}"
            )
    for command in commands:
        condition = f"complete -c txcarp -n {_fishQuote(f'__txcarp_is {command.name}'.strip())}"
        lines += [f"{condition} {_fishFlag(flag)}" for flag in command.flags]
        lines += [
            f"{condition} {_fishValue(value)}" for value in command.values if _fishValue(value)
        ]
    names = " ".join(one.name for one in commands if one.name)
    return _FISH % {"names": names, "lines": "\n".join(lines)}


def _fishFlag(flag: Flag) -> str:
    names = " ".join(
        f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in flag.names
    )
    said = f"-d {_fishQuote(flag.help)}"
    if flag.value is None or flag.isOptional:
        return f"{names} {said}"
    return " ".join(filter(None, (names, said, "-r", _fishValue(flag.value))))


def _fishValue(value: Value) -> str:
    if value.words:
        return f"-a {_fishQuote(' '.join(value.words))}"
    return {
        "file": "-F",
        "directory": "-a '(__fish_complete_directories)'",
        "interface": "-a '(command ls /sys/class/net)'",
        "group": "-a '(__txcarp_groups)'",
    }.get(value.kind, "")


def _fishQuote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
