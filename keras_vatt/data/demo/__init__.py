"""A generated demo corpus of real media files."""
