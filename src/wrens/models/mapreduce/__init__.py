"""Work on what belongs together: pairs by key, tables by column, all results at once."""
