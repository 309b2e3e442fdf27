"""What all packages use: files, disk, versions, progress, text, and the loader of TensorFlow."""
