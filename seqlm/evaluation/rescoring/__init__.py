"""Language models in recognizers and translators: n-best lists, scored and ordered anew."""
