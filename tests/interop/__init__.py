"""With programs of others, real ones: `make interop`. Not part of `make test`, for the 50 MB that they are."""
