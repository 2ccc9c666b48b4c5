"""Where every byte of a job lives."""
