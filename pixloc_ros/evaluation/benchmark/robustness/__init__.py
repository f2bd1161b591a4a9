"""Hard conditions: other light, night, blur, occlusion, sparse references, far priors."""
