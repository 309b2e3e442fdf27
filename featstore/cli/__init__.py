"""The command line: each command parses, calls one or two functions, and prints."""
