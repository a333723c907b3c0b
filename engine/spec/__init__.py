"""The contract between the engine and whatever shows it: pydantic and the standard library only."""
