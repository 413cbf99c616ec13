"""What finds landmarks."""
