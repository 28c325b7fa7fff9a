"""The steps of drift."""

STEPS = ()
