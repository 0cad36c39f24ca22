"""Metrics of classification and retrieval, and their intervals."""
