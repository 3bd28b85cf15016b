"""Speed and memory, measured against what a user would use instead. Nothing here is a test."""
