"""One sink that is killed again and again while its topic fills, and what it made of that."""

import os
import random
import secrets
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from inbox.failpoints import Failpoint
from tests.e2e.effects import TABLES
from tests.e2e.history import History
from tests.e2e.launcher import KILLED, ForkServer, Kill
from tests.support.sinks import write_configuration

KILLS = int(os.environ.get("SOAK_KILLS", "200"))
SEED = os.environ.get("INBOX_TEST_SEED") or secrets.token_hex(4)

PARTITIONS = 3

_APPENDED = """\
[routes.table]
name = "public.appended"
mode = "append"
[routes.table.columns]
event_id = "$event_id"
key = "$key"
seq = "/seq"
amount = "/amount"
"""

_ROUTES = (
    """
[[routes]]
name = "handler{suffix}"
topic = "{topic}"
types = ["Changed"]
handler = "record"
{decoding}

[[routes]]
name = "table{suffix}"
topic = "{topic}"
{decoding}
"""
    + _APPENDED
)

WITHOUT_HANDLERS = (
    """
[[routes]]
name = "handler"
topic = "{topic}"
types = ["Changed"]
[routes.table]
name = "public.effects"
mode = "append"
[routes.table.columns]
event_id = "$event_id"
key = "$key"
seq = "/seq"

[[routes]]
name = "table"
topic = "{topic}"
"""
    + _APPENDED
)
"""Routes of a sink whose batches end with COMMIT in the flight of their last statements (decision 0049)."""


def crash_routes(topic: str, *, suffix: str = "", decoding: str = "") -> str:
    """Return the routes of a handler and a table: their names end with `suffix`, and `decoding` is their format."""
    return _ROUTES.format(topic=topic, suffix=suffix, decoding=decoding)


COUNTED = """
CREATE FUNCTION public.count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.counters VALUES (coalesce(NEW.key, 'none'), 1)
    ON CONFLICT (key) DO UPDATE SET count = counters.count + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER count_effect AFTER INSERT ON public.effects FOR EACH ROW EXECUTE FUNCTION public.count_effect();
"""
"""What the handler does beside its row."""

NEVER_REACHED = {True: frozenset[Failpoint](), False: frozenset({Failpoint.PARKED, Failpoint.IN_HANDLER})}
"""Places that a sink with handlers, or without them, does not come to."""

OFTEN_REACHED = {
    Failpoint.ACQUIRED: 1,
    Failpoint.BEGUN: 8,
    Failpoint.CLAIMED: 12,
    Failpoint.HANDLED: 10,
    Failpoint.PARKED: 2,
    Failpoint.FENCED: 5,
    Failpoint.COMMIT_SENT: 5,
    Failpoint.COMMITTED: 5,
    Failpoint.TOLD: 1,
    Failpoint.IN_HANDLER: 30,
}
"""How many times a run over one chunk of events reaches each, about; a kill is at one of these."""

SLIGHTLY_LATER_SECONDS = 0.004
"""Past a failpoint: so that COMMIT, for one, is also met while the server has it."""


@dataclass
class Crashes:
    """How often the sink was killed, by place, and how often it came to its end."""

    kills: Counter[str] = field(default_factory=Counter)
    finished: int = 0

    @property
    def total(self) -> int:
        return sum(self.kills.values())


class CrashedSink:
    """A sink on a topic and a database of its own. One without handlers gets no event that cannot succeed."""

    def __init__(
        self,
        directory: Path,
        *,
        seed: str,
        bootstrap_servers: str,
        topic: str,
        database_url: str,
        packages: Path,
        handlers: bool = True,
    ) -> None:
        self._rng = random.Random(seed)
        self._packages = packages
        self.log = directory / f"{topic}.log"
        self._places = [point for point in Failpoint if point not in NEVER_REACHED[handlers]]
        poison = {} if handlers else {"poison": 0.0}
        self.history = History(bootstrap_servers, topic, PARTITIONS, self._rng, **poison)
        self._configuration = write_configuration(
            directory / f"{topic}.toml",
            name=topic,
            database_url=database_url,
            bootstrap_servers=bootstrap_servers,
            sink="batch_events = 20",
            kafka=f'"group.instance.id" = "{topic}-1"',  # restarted, a static member has its partitions back at once
            routes=crash_routes(topic) if handlers else WITHOUT_HANDLERS.format(topic=topic),
        )
        with psycopg.connect(database_url) as connection:
            connection.execute(TABLES)
            if not handlers:
                connection.execute(COUNTED)

    def survive(self, kills: int) -> Crashes:
        """Restart after each kill until there were so many, then let it come to its end."""
        crashes = Crashes()
        with ForkServer(self._packages) as server:
            while crashes.total < kills:
                self.history.add_chunk()
                where, code = self._run_to_be_killed(server)
                if code == KILLED:
                    crashes.kills[where] += 1
                else:
                    self._must_be_done(code)
                    crashes.finished += 1
            self._must_be_done(server.run(self._arguments("--until-end"), self.log))
        return crashes

    def _run_to_be_killed(self, server: ForkServer) -> tuple[str, int]:
        if self._rng.random() < 0.1:
            return "anywhere", server.run(self._arguments(), self.log, kill_after=self._rng.uniform(0, 0.8))
        at = self._rng.choice(self._places)
        after = self._rng.choice([0.0, 0.0, self._rng.uniform(0, SLIGHTLY_LATER_SECONDS)])
        kill = Kill(at, self._rng.randint(1, OFTEN_REACHED[at]), after)
        # what is told to Kafka is told twice a second: a run that ends with the topic may be over before
        until = () if at is Failpoint.TOLD else ("--until-end",)
        return at.value, server.run(self._arguments(*until), self.log, kill=kill)

    def _arguments(self, *more: str) -> list[str]:
        return ["run", "--config", str(self._configuration), *more]

    def _must_be_done(self, code: int) -> None:
        assert code == 0, f"inbox run ended with {code}:\n" + self.log.read_text()[-4000:]
