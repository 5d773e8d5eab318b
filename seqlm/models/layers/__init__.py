"""Layers that several architectures are made of.

linear.py, dropout.py                            products on oneDNN, dropout of sequences
padding.py                                       which positions of a batch are real
recurrence/                                      Elman, LSTM and GRU layers, one way and both ways
rotary.py, attention.py                          positions; self-attention, source attention
feed_forward.py, mixture_of_experts.py           the other sublayer of a Transformer
transformer_layers.py                            norms, residual sums and positions around these
depthwise_conv.py                                the convolution of Mamba layers
"""
