"""Decodes media files to frames and waveforms with FFmpeg."""
