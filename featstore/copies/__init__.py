"""Copies: which images are the same picture, byte for byte or re-encoded, mirrored, cropped or recoloured."""
