"""System checks: every plug resolves, every secret opens."""
