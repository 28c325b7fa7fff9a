"""Trials of every recipe on a held-out part of the training images, and what is chosen by them."""
