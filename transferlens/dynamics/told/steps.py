"""The steps of told."""

STEPS = ()
