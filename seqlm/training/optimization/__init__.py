"""The optimizer, the objective it minimizes, and its schedules."""
