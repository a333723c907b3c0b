"""The stages of a run, one file each: every one reads and writes the run folder and can be resumed."""
