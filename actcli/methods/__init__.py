"""One file per published method: its config, modules, logits and loss."""
