"""The subcommands, one file for each or for a few that belong together."""
