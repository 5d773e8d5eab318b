"""Recurrent layers.

gru.py, lstm_variants.py    recurrences that PyTorch computes slowly, or not
recurrent_layers.py         Elman, LSTM and GRU layers
bidirectional.py            layers that read a sentence from both ends
"""
