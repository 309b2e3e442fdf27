"""The store: rows of features under a key, in immutable HDF5 shards named by their own digest.

It knows keys, row ids and arrays, but no models, images, labels or paths of images.
"""
