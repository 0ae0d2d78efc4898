"""Discovered programs: for each its text and a record of where it comes from and what it is worth."""
