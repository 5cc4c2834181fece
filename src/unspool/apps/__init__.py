"""
The applications. Each is one folder on top of the core; none imports another.

To add one: create a folder here whose `__init__` has `app`, an `App`. This table of contents
names the modules of its flows, dialects, routes and commands; each is imported at first use. The
folder is the registration: without it, its routes are gone and everything else works. A package
outside unspool offers its `App` through the entry point group `unspool.apps`. Tables of its own
need a migration in `records/migrations`.
"""
