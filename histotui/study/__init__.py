"""A study: every row of its tables as runs, made where they are missing, and the report of them."""
