"""A model as a folder that another library reads, compared with what it was made from."""
