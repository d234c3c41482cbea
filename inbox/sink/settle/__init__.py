"""One transaction: claim, apply, park, fence, commit."""
