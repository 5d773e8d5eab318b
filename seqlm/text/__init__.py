"""Files -> lines -> tokens -> ids."""
