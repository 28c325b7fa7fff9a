"""Looking after a run: what a results folder holds, and what a study will cost."""
