"""Model packages: manifest, files and their hashes, the zoo."""
