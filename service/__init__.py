"""HTTP service for model packages, without torch.

Imports go one way: settings, errors <- observability <- inference <- http <- application <- bentoml_host; loadtest
stands beside http.
"""
