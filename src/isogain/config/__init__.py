"""A user's options: their ranges, the check of a composed config, and errors that are one clear line."""
