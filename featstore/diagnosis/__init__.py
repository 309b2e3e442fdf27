"""What is installed and found on this machine, and what a data set would cost here: `featstore doctor`.

Each file looks at one kind of thing, and gives it as a `Topic`. Nothing loads TensorFlow unless it is asked to.
"""
