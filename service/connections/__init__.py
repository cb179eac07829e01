"""Connections of the HTTP server: limits on heads, silence, unread answers and number; draining before the end."""
