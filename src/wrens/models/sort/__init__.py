"""A sort of more than fits into memory, and the check that it is one."""
