"""The transaction of one batch: claim, apply, park, fence, COMMIT."""
