"""How things are shown: figures, overlays, templates of pages."""
