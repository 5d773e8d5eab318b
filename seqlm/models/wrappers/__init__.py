"""Models made of other models, and the unigram cache, which is made to be mixed with others."""
