"""Whether a base gets the preprocessing that it was trained with."""
