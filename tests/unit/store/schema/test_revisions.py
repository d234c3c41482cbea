"""The names of the files of revisions, which tell at every start what alembic would."""

import pytest

from inbox.store.schema.migration_plan import scripts
from inbox.store.schema.revisions import EXISTING, INBOX, OUTBOX, RevisionHistory


@pytest.mark.parametrize("history", [INBOX, OUTBOX, EXISTING], ids=["inbox", "outbox", "existing"])
def test_files_are_named_after_their_revisions_in_the_order_of_the_line(history: RevisionHistory) -> None:
    line = [script.revision for script in scripts(history).iterate_revisions("head", "base")]
    assert history.upward() == line[::-1]
    assert history.down_from(line[0]) == line
