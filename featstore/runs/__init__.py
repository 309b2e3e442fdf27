"""Runs: trained heads on disk, their predictions, and their evaluation."""
