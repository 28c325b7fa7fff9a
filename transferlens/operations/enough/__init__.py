"""More models, look by look, until they are enough: the workflow run again with more of the same study."""
