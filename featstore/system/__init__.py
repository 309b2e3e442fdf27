"""What stands on the operating system and on other libraries: files, disks, versions, the loader of TensorFlow."""
