"""The HTTP front: routes, request bodies, negotiation, schemas, documentation, playground."""
