"""The demo, which runs every stage on drawn scenes or on two photographs."""
