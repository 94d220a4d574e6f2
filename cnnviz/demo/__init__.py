"""The demo: drawn pictures with exact masks, and two small nets trained on them (one with a planted bias)."""
