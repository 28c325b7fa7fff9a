"""Where in the image it shows: class activation maps of target and source classes."""
