"""The ground that the rest stands on: files, disk, versions, progress, text, and the loader of TensorFlow."""
