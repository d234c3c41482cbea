"""A program of the demo: started with a configuration of its own, killed, and started again."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from inbox.dev.local.supervised import Supervised
from inbox.errors import StartupError


class Program:
    """One `python -m`. It is supervised, so it cannot outlive the demo, however that ends.

    `{config}` in the arguments becomes the file that the configuration is written to: it holds the password of the
    database, which a command line would show to everybody on the machine. `{directory}` is where that file is.
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
        # what the user's own environment says of an inbox is not for this one
        unset = [word for name in os.environ if name.startswith("INBOX_") for word in ("-u", name)]
        places = {"{config}": str(self.config), "{directory}": str(self.directory)}
        arguments = [places.get(argument, argument) for argument in module_arguments]
        self._command = ["env", *unset, sys.executable, "-m", *arguments]

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself; None while it runs."""
        return self._process.exit_code

    def last_words(self) -> str:
        return self._process.log_tail()

    def start(self) -> None:
        self._process.start(self._command)

    def crash(self) -> None:
        """SIGKILL, and a new start."""
        self._process.kill()
        self.kills += 1
        self.start()

    def close(self) -> None:
        """End it, if it still runs, and remove its files."""
        with suppress(StartupError):
            self._process.kill()
        self._process.close()
