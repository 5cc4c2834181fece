"""
The systems. Each is a folder over the core, and none knows another.

To add one: a folder here whose `__init__` has `app`, an `App`: its table of contents. It names
the modules of its flows, dialects, resources and commands; they are imported when first used.
The folder is the registration: without it, its routes are gone and everything else works. A
package outside unspool offers its `App` through the entry point group `unspool.apps`. Tables
of its own come with a migration in `records/migrations`.
"""
