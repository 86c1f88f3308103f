"""Results to text: the only layer that knows tables, colours and file formats."""
