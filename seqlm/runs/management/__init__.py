"""What is done with whole runs: they are listed, compared, made smaller and removed."""
