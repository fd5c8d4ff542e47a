"""Any change of a model's weights, at a strength t: W + t (W' - W)."""
