"""
Tests of recipes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.lab.daemons import Daemon
from tests.lab.world import STARTING, Host, LabTestCase
from tests.recipes.clients import Asker
from tests.recipes.systemd import SystemdHost
from tests.recipes.text import configurations, forHost
from txcarp.testbed.program import TXCARP

PASSWORD = "not a secret\n"


class RecipeTestCase(LabTestCase):
    """
    A test of one configuration file of a recipe.

    @cvar title: The title of the recipe.
    @cvar number: Which of its configuration files is tested.
    @cvar packages: The Debian packages whose programs take part.
    """

    needsUcarp = False
    timeout = 300

    title: str
    number = 0
    packages: tuple[str, ...] = ()

    def service(self) -> str:
        """
        What the recipe adds to the unit of txcarp.
        """
        return ""

    def configuration(self, advskew: int | None = None) -> str:
        """
        The file of a host.

        @param advskew: Its advskew, unless the recipe gives one.
        """
        return forHost(configurations(self.title)[self.number], advskew)

    def fromText(self, host: Host, configuration: str) -> Daemon:
        """
        Run txcarp with a file on a host that has no systemd.
        """
        (host.directory / "password").write_text(PASSWORD)
        (host.directory / "password").chmod(0o600)
        path = host.directory / "txcarp.toml"
        path.write_text(configuration)
        words = ("--config", str(path), "-f", "none", "--control", "none", "--state-file", "none")
        return host.run(f"{host.name} txcarp", TXCARP, words)

    async def machine(
        self, name: str, *addresses: str, units: tuple[str, ...] = (), advskew: int = 0
    ) -> SystemdHost:
        """
        Make a host with systemd that has the configuration file.
        """
        first, *others = addresses
        machine = SystemdHost(self, self.host(name, first, None, *others))
        await machine.boot(*units, service=self.service())
        self.configure(machine, self.configuration(advskew))
        return machine

    def configure(self, machine: SystemdHost, configuration: str) -> None:
        """
        Give a host its file and the password.
        """
        machine.write("/etc/txcarp/txcarp.toml", configuration, 0o600)
        machine.write("/etc/txcarp/password", PASSWORD, 0o600)

    async def restarted(self, log: Daemon, since: float) -> None:
        """
        Wait until the service of txcarp runs again.

        @param log: The reader of its log.
        @param since: When it was killed.
        """
        await self.until(lambda: log.said("Local advertised", since), "it runs again", STARTING)

    def asker(self, question: Callable[[], str]) -> Asker:
        """
        Ask until the end of the test.
        """
        asker = Asker(question)
        self.addCleanup(asker.stop)
        return asker

    async def answered(self, asker: Asker, text: str | None = None) -> float:
        """
        Wait until a client gets three answers.

        @param text: What they say; anything if it is C{None}.
        """
        since = time.monotonic()

        def right() -> bool:
            good = [one for one in list(asker.answers) if text is None or one.text == text]
            return len(good) > 2 and good[-3].time > since

        return await self.until(right, f"a client is answered {text or ''}", STARTING)

    def lost(self, what: str, since: float, **askers: Asker) -> None:
        """
        Report for how long clients were without an answer.
        """
        silences = (
            f"{asker.silence(since):.2f} s ({name})" for name, asker in askers.items()
        )
        self.report(f"lost: {what}: {', '.join(silences)}")
