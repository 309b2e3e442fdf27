"""Pictures of results, drawn with Matplotlib."""
