"""The read path: from rows in the cache to arrays."""
