"""A generated corpus of real media files."""
