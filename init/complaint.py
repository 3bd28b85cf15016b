"""What ends a command with code 1."""

from __future__ import annotations


class Complaint(Exception):
    """What is wrong, and what to do about it; in words for a person."""
