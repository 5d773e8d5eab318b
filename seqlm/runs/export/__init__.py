"""n-gram models in other forms: one model of several, ARPA files, runs, word lists, lexicons."""
