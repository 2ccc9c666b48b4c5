"""The driver: decides which attempts to launch, launches them, and reads the verdicts."""
