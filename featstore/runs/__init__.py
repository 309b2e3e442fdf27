"""Runs: trained heads on disk, and what they answer."""
