"""What is looked at while a generator trains: grids of samples, their diversity, and what they teach a classifier."""
