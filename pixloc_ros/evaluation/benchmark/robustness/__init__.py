"""Where do features hold? Other light, night, blur, occlusion, sparse references, far priors."""
