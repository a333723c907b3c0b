"""The built-in tissue: lymph-node-like patches from a physical stain model, with the truth about them."""
