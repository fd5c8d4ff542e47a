"""Model families, one package each behind one protocol, and what they share."""
