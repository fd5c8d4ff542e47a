"""What several tests share: small studies, models and servers."""
