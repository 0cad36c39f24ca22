"""Decoding of media files to frames and waveforms with FFmpeg."""
