"""What the user gives: options, lists, terms, a conversation."""
