"""What goes through clips: index, label and verify them, save copies and cuts."""
