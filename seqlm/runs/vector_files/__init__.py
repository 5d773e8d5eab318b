"""Files of word vectors: those of word2vec, GloVe and fastText."""
