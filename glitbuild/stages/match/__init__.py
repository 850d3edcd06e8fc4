"""Stage that finds the regions and sentences of each image and pairs them."""
