"""An end to what librdkafka waits for without one."""

import threading
from collections.abc import Callable


def ended_within(seconds: float, action: Callable[[], object]) -> bool:
    """Whether `action` came to its end in time; what it raised is raised.

    Otherwise it goes on, on a thread that keeps no process alive.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            raised.append(error)

    thread = threading.Thread(target=run, name="inbox-kafka-end", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    return not thread.is_alive()
