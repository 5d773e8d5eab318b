"""The settings of a training run.

training_settings.py    the definition of each
defaults.py             defaults by task, by architecture, and beside other settings
recipe.py               settings from a YAML file
resolve.py              from flags, recipe and defaults to the configuration of a run
"""
