"""Tables of embeddings: a row a video or window, in Parquet or safetensors, with what made them."""
