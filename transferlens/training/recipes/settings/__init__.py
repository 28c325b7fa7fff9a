"""Settings of recipes, one family a file, and what a plan needs to know of each kind; none needs torch."""
