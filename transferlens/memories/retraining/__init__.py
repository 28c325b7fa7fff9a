"""What changes in models whose source never had the class."""
