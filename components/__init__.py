"""Network components, one folder per concept. Folders are found by walking; there is no central list."""
