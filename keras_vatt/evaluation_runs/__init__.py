"""A whole evaluation: a preset and a folder of media in, a report out."""
