"""What an adapter does to its model's weights, told from the files alone."""
