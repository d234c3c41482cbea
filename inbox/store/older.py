"""What a worker knows of the ids in the older generations of claims, so that it need not look each new id up there.

Most ids were never seen before, and to find that out costs a page of the index for each of them and each older
generation. A filter answers it from memory, but for a few in a thousand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inbox.store.filters import Filter


@dataclass(frozen=True)
class OlderClaims:
    """The ids that may have a claim in a generation before `until`: what is known ends there.

    `since` is the oldest generation that there was when all of them were read. No filter: there is none of these.
    """

    filter: "Filter | None" = None
    since: int = 0
    until: int = 0

    def suspects(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Those that have to be looked up."""
        return self.filter.suspects(ids) if self.filter else ()
