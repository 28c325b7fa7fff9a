"""Seeded faults in what a user hands over and a disk keeps, and what becomes of them (`fuzz.py`)."""
