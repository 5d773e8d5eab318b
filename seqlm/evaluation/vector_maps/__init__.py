"""Maps of word vectors: places in the plane, and their pictures."""
