"""Metrics and differences of accuracies, with their intervals."""
