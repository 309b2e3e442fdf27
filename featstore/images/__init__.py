"""Images: from the bytes of a file to pixels, views, and the preprocessing variants."""
