"""Decodes, batches, encodes and stores clips.

The package is internal: `encode`, `extract_features`, `keras_vatt.evaluation` and
`keras_vatt.search` use it. Its center is the pipeline in `_pipeline`.
"""
