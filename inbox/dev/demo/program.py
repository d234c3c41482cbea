"""A program of the demo, which is started with its own configuration, killed, and started again."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from inbox.dev.local.supervised import Supervised
from inbox.errors import StartupError


class Program:
    """A `python -m` process. It is supervised, so it cannot outlive the demo, however the demo ends.

    `{config}` in the arguments becomes the path of the configuration file. The configuration is in a file
    because it holds the password of the database, which a command line would show to everybody on the machine.
    `{directory}` becomes the directory of that file.
    """

    def __init__(self, module_arguments: Sequence[str], config_name: str, config: str) -> None:
        self.kills = 0
        self._process = Supervised("demo")
        self.directory = self._process.directory
        self.config = self.directory / config_name
        try:
            self.config.touch(mode=0o600)
            self.config.write_text(config)
        except BaseException:
            self._process.close()
            raise
        # settings for an inbox in the user's own environment are not meant for this one
        unset = [word for name in os.environ if name.startswith("INBOX_") for word in ("-u", name)]
        places = {"{config}": str(self.config), "{directory}": str(self.directory)}
        arguments = [places.get(argument, argument) for argument in module_arguments]
        self._command = ["env", *unset, sys.executable, "-m", *arguments]

    @property
    def exit_code(self) -> int | None:
        """Return the exit code with which the program ended by itself; None while it runs."""
        return self._process.exit_code

    def last_words(self) -> str:
        return self._process.log_tail()

    def start(self) -> None:
        self._process.start(self._command)

    def crash(self) -> None:
        """Send SIGKILL, and start the program again."""
        self._process.kill()
        self.kills += 1
        self.start()

    def close(self) -> None:
        """End the program, if it still runs, and remove its files."""
        with suppress(StartupError):
            self._process.kill()
        self._process.close()
