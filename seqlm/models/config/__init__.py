"""The options of each architecture, as frozen dataclasses. Nothing here imports torch.

    network_config.py       what all networks share: vocabulary, output layer, dropout
    ffnn_config.py, recurrent_config.py, transformer_config.py, state_space_config.py
                            the neural language models
    translator_config.py    what all translators share, recurrent translators, the Transformer
    ngram_config.py         n-gram models
    stored_options.py       the check of options that come from a file

A checkpoint stores the fields as plain names and values, and `seqlm train` takes each as a setting.
`seqlm.models.config_class` finds the class of an architecture.
"""
