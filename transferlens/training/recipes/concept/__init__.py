"""Concept-Tuning: patches that stand for concepts, their contrast, and a head behind attention."""
