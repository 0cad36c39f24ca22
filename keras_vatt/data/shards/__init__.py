"""Shards of stored clips: TFRecord, ArrayRecord and WebDataset files."""
