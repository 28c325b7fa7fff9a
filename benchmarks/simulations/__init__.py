"""Simulations of the statistics that are printed: one module a family, each with `rows`."""
