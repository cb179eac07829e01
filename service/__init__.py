"""Stage three: model packages answer over HTTP. No torch here."""
