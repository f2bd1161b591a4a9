"""From images with poses, or a COLMAP model, to a feature map. The only room with pycolmap."""
