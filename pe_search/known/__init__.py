"""What is known of a clip beside its sound: read, named, typed, filtered and shown."""
