"""What a name means, and the model that it names, in memory."""
