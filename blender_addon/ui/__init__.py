"""The sidebar: properties, operators, panels."""
