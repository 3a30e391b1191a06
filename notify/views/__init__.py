"""Pages of the notification floor."""
