"""Encoders: given networks with given weights, as candidate sources of every target."""
