"""The verbs: a config goes in, a stream of results comes out."""
