"""Co-occurrences of words: how often, and how near to each other, two words are in one line."""
