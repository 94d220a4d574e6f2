"""The demo: drawn pictures with exact masks, and two small networks trained on them (one with a deliberate bias)."""
