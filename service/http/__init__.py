"""HTTP interface: routes, request bodies, content negotiation, API keys, OpenAPI document, playground."""
