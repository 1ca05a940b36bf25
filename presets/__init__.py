"""YAML networks. The files are data; `registry.load` finds them by name."""
