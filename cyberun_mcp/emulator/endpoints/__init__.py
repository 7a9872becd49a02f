"""The endpoints of the REST API. `routes.py` lists them all."""
