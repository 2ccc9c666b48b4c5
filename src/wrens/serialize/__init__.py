"""The only package that pickles: values, functions with their modules, and failures."""
