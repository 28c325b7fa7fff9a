"""Transferability scores: what the frozen features of a source model say of a target, before any transfer."""
