"""Programs that render the documentation and check a machine."""
