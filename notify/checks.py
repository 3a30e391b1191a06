"""System checks of this floor."""
