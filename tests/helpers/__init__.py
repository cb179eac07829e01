"""Test helpers: stub models, servers, hostile inputs, drawn data."""
