"""Fine-tuning: the top of a base is trained together with its head, from cached inputs of that top."""
