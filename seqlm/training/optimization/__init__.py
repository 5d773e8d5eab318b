"""Steps of the optimizer and all that shapes them."""
