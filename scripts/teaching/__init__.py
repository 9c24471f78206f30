"""Training data from models: teachers, their labels, candidate pairs and hard negatives."""
