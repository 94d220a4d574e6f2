"""Picture sets: the contents of folders, tables and files. No torch here."""
