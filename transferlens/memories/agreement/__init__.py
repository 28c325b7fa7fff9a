"""What the study of memories and the influences agree on."""
