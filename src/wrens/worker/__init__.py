"""The other program: runs one attempt at a time and keeps nothing."""
