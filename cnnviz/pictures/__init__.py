"""Picture sets: what is in a folder or a table, and what is in a file. No torch here."""
