"""Numbers about results: how good, how sure, and what is confused with what."""
