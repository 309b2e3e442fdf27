"""Object storage: places named by URL, and what can be asked of the bucket that a URL names.

It knows objects and their bytes, but no images, rows or keys.
"""
