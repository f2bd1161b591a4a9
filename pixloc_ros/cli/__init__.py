"""One small file per executable."""
