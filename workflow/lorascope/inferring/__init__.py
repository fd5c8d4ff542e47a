"""What an infer job does: shards of experiments are answered, with a model that is loaded once."""
