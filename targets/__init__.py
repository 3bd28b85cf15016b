"""Where an image runs: platforms, and what they are told."""
