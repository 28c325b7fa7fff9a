"""Whether harmful source classes harm less under another recipe: influences, and interference."""
