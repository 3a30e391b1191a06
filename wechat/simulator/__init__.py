"""A stand-in for the WeCom server: for development, for a demonstration and for tests. Nobody imports it."""
