"""Extraction on the machines of a Ray cluster: this process plans and accounts, workers there complete the rows."""
