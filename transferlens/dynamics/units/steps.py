"""The steps of units."""

STEPS = ()
