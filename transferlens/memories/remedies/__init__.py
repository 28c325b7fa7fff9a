"""What helps against memories."""
