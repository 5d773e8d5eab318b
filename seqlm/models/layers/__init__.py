"""Layers that several architectures are made of.

linear.py, dropout.py                            products on oneDNN, dropout of sequences
gru.py, lstm_variants.py                         recurrences that PyTorch computes slowly, or not
recurrent_layers.py                              Elman, LSTM and GRU layers
rotary.py, attention.py                          positions; self-attention, source attention
feed_forward.py, mixture_of_experts.py           the other sublayer of a Transformer
transformer_layers.py                            norms, residual sums and positions around these
depthwise_conv.py                                the convolution of Mamba layers
"""
