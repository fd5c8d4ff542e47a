"""What a study makes and from what: a module for each stage, and the plan that joins them."""
