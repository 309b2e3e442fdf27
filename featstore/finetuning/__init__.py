"""Training the top of a base together with its head, from cached inputs of that top."""
