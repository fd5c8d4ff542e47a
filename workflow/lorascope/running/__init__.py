"""What a job needs while it runs: leases of GPUs, batches that fit into memory, progress."""
