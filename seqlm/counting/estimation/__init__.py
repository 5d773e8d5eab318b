"""From counts to an n-gram model, step by step."""
