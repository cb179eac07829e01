"""Containers of request bodies: whole bytes -> uploads, at a cost that the number of images bounds, not the client."""
