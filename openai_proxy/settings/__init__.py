"""Sections of the configuration, as `config` puts them together."""
