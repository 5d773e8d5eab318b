"""Networks that are adapted while they score."""
