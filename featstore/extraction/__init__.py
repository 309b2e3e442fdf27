"""The write path: from a recipe to rows in the cache."""
