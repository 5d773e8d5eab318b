"""A state -> tokens: decoders know the verbs of `models.base` and no model's class."""
