"""What a reader sees: figures, tables, checks, and the page that holds them."""
