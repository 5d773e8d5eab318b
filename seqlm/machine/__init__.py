"""What the machine offers: its processors and devices, its memory, and compiled loops."""
