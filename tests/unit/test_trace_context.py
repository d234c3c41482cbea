"""A trace context is taken in one form."""

import pytest

from inbox.trace_context import sent_traceparent, trace_parent

EXACT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("text", [EXACT, EXACT.encode()])
def test_the_exact_form_is_taken(text: str | bytes) -> None:
    assert trace_parent(text) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        EXACT[:-1],
        EXACT + "-",
        EXACT[:-1] + "\n",
        EXACT.upper(),
        "01" + EXACT[2:],
        "ff" + EXACT[2:],
        EXACT.replace("-", "_"),
        EXACT[:-1] + "\u0661",  # a digit of another script
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
    ],
)
def test_every_other_text_is_none(text: str) -> None:
    assert trace_parent(text) is None
    assert trace_parent(text.encode()) is None
    assert sent_traceparent(text) is None
