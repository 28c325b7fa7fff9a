"""The page of a study of memories."""
