"""
Tests for C{txcarp completion}: real shells complete command lines, and a real process answers with
the names of its groups.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.operate.running import RunningTestCase, shortDirectory
from tests.optional import needing
from txcarp.commands import shells
from txcarp.commands.completion import main
from txcarp.commands.grammar import grammar
from txcarp.commands.main import COMMANDS
from txcarp.configuration.options import OPTIONS
from txcarp.protocol.dialect import DIALECTS

_BASH = """
source "$SCRIPT"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE=$LINE; COMP_POINT=${#LINE}
_txcarp
((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
exit 0
"""

#: What the functions of zsh are given for completion.  The arguments of C{_arguments} are printed.
_ZSH = """
compdef() { true }
_arguments() { print -rl -- "words $words" "current $CURRENT" "$@" }
_describe() { print -rl -- ${(P)4} }
_call_program() { shift; eval "$@" }
compadd() { print -rl -- ${(P)2} }
source "$SCRIPT"
words=("$@"); CURRENT=$#
_txcarp
"""


class CompletionTests(RunningTestCase):
    """
    The scripts, with a daemon that answers.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = shortDirectory(self)
        # The script calls the command that is completed, which may be anywhere.
        self.program = self.directory / "txcarp"
        self.program.write_text(f"#!/bin/sh\nexec {sys.executable} -m txcarp \"$@\"\n")
        self.program.chmod(0o755)
        for name in ("txcarp.toml", "txcarp.old"):
            (self.directory / name).touch()
        (self.directory / "txcarp.d").mkdir()

    def run_(self, name: str, *words: str, **variables: str) -> str:
        """
        Run a shell with the script for it, in a directory with files.
        """
        script = self.directory / f"script.{name}"
        with redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(main([name]), 0)
        script.write_text(printed.getvalue())
        root = Path(__file__).parent.parent.parent
        environment = {**os.environ, "SCRIPT": str(script), "PYTHONPATH": str(root), **variables}
        done = subprocess.run(
            [name, *words],
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={**environment, "HOME": str(self.directory)},
            check=False,
        )
        self.assertEqual(done.stderr, "")
        return done.stdout

    def bash(self, *words: str, line: str = "") -> Deferred[list[str]]:
        """
        What bash completes the last word to.
        """
        whole = line or " ".join(["txcarp", *words])
        given = ["-c", _BASH, "bash", str(self.program), *words]
        return self.inThread(lambda: sorted(self.run_("bash", *given, LINE=whole).split()))

    async def test_bashCommands(self) -> None:
        """
        The first word is a command, or an option of the daemon.
        """
        self.assertEqual(await self.bash(""), sorted(COMMANDS))
        self.assertEqual(await self.bash("st"), ["status"])
        options = [name.strip() for one in OPTIONS for name in one.names.split(",")]
        self.assertEqual(await self.bash("-"), sorted(options))
        self.assertEqual(await self.bash("-P", "--deb"), ["--debug"])

    async def test_bashOptions(self) -> None:
        """
        The options of a command, and their values.
        """
        self.assertEqual(await self.bash("status", "--js"), ["--json"])
        files = ["txcarp", "txcarp.d", "txcarp.old", "txcarp.toml"]
        self.assertEqual(await self.bash("check", "txcarp"), files)
        self.assertEqual(await self.bash("--config", "txcarp.t"), ["txcarp.toml"])
        self.assertEqual(await self.bash("--config", "=", "txcarp.t"), ["txcarp.toml"])
        self.assertEqual(await self.bash("demo", "--keep-logs", ""), ["txcarp.d"])
        line = "txcarp --dialect=free"
        self.assertEqual(await self.bash("--dialect", "=", "free", line=line), ["freebsd"])
        self.assertEqual(await self.bash("--dialect", ""), sorted(DIALECTS))
        self.assertIn("lo", await self.bash("observe", "-i", ""))
        self.assertEqual(await self.bash("--vhid", ""), [])
        self.assertEqual(await self.bash("completion", "f"), ["fish"])

    async def test_bashGroups(self) -> None:
        """
        The names of the groups of the daemon that the command line names, where a group is
        expected.
        """
        control = "--control", self.path
        unnamed = self.carp.virtualHosts[1].name
        self.assertEqual(await self.bash("explain", *control, ""), sorted(["web", unnamed]))
        self.assertEqual(await self.bash("explain", "--control", "=", self.path, "w"), ["web"])
        self.assertEqual(await self.bash("explain", *control, "web", ""), [])
        self.assertEqual(await self.bash("status", *control, "--watch", "web", "w"), ["web"])
        self.assertEqual(await self.bash("demote", *control, "web", ""), [])
        interface, number = unnamed.split(":")
        line = f"txcarp status --control {self.path} {interface}:"
        words = "status", *control, interface, ":"
        self.assertEqual(await self.bash(*words, line=line), [number])
        line += number
        self.assertEqual(await self.bash(*words, number, line=line), [number])

    async def test_noDaemon(self) -> None:
        """
        Without a daemon there are no names, and no complaint.
        """
        await self.service.stopService()
        self.assertEqual(await self.bash("explain", "--control", self.path, ""), [])

    @needing("fish")
    async def test_fish(self) -> None:
        """
        fish completes commands, options, files, choices and groups.
        """

        def complete(line: str) -> list[str]:
            code = f"source $SCRIPT; complete -C '{line}'"
            words = self.run_("fish", "--no-config", "-c", code, XDG_CONFIG_HOME=self.mktemp())
            return sorted(one.partition("\t")[0] for one in words.splitlines())

        def all_() -> None:
            # fish completes what is on the path.
            os.environ["PATH"] = f"{self.directory}:{path}"
            try:
                self.assertEqual(complete("txcarp "), sorted(COMMANDS))
                self.assertEqual(complete("txcarp st"), ["status"])
                self.assertEqual(complete("txcarp status --js"), ["--json"])
                self.assertEqual(complete("txcarp --conf"), ["--config"])
                self.assertEqual(complete("txcarp --config txcarp.t"), ["txcarp.toml"])
                self.assertEqual(complete("txcarp --dialect freeb"), ["freebsd"])
                self.assertIn("lo", complete("txcarp observe -i "))
                line = f"txcarp explain --control {self.path} "
                names = [one.configuration.title or one.name for one in self.carp.virtualHosts]
                self.assertEqual(complete(line), sorted(names))
                self.assertEqual(complete("txcarp explain --control /nonexistent/x w"), [])
            finally:
                os.environ["PATH"] = path

        path = os.environ["PATH"]
        await self.inThread(all_)

    @needing("zsh")
    async def test_zsh(self) -> None:
        """
        zsh is told the commands, options, files, choices and groups.
        """

        def complete(*words: str) -> list[str]:
            return self.run_("zsh", "-f", "-c", _ZSH, "zsh", str(self.program), *words).splitlines()

        def all_() -> None:
            commands = [one.partition(":")[0] for one in complete("")]
            self.assertEqual(commands, list(COMMANDS))
            said = complete("status", "--js")
            self.assertEqual(said[:2], ["words status --js", "current 2"])
            self.assertIn("*:GROUP:_txcarp_groups", said)
            self.assertTrue(any(one.startswith("--json[print everything") for one in said), said)
            said = complete("--conf")
            self.assertIn("*--config=[read any number of groups from FILE]:FILE:_files", said)
            self.assertTrue(any(":NAME:(ucarp freebsd " in one for one in said), said)

        await self.inThread(all_)

    @needing("zsh")
    async def test_zshGroups(self) -> None:
        """
        zsh asks for the names of groups.
        """
        code = _ZSH.replace("\n_txcarp\n", "\n")
        code += f"typeset -A opt_args; opt_args[--control]={self.path}\n"
        code += f"_txcarp_program={self.program}; _txcarp_groups\n"
        said = await self.inThread(self.run_, "zsh", "-f", "-c", code, "zsh", "x")
        self.assertEqual(said.split(), ["web", self.carp.virtualHosts[1].name])

    def test_everything(self) -> None:
        """
        Each command, option and choice is in each script.
        """
        known = grammar()
        self.assertEqual([one.name for one in known], ["", *COMMANDS])
        for write in (shells.bash, shells.zsh, shells.fish):
            script = write(known)
            for command in known:
                self.assertIn(command.name, script)
                for flag in command.flags:
                    for name in flag.names:
                        word = name if write is not shells.fish else name.lstrip("-")
                        self.assertIn(word, script)

    def test_installed(self) -> None:
        """
        What is installed for each shell loads the script of the command.
        """
        root = Path(__file__).parent.parent.parent
        for name, shell in (("txcarp", "bash"), ("_txcarp", "zsh"), ("txcarp.fish", "fish")):
            path = f"completions/{name}"
            self.assertIn(path, (root / "setup.cfg").read_text())
            self.assertIn(f"completion {shell}", (root / path).read_text())
            if shutil.which(shell):
                subprocess.run([shell, "-n", root / path], check=True)
