"""Where programs are trained.

ray_pool       asynchronous calls on Ray
ray_evaluator  evaluation on Ray
handover       in-process evaluation until the workers have started
crew           workers that are Ray actors: started, supplied, watched and replaced
ray_runtime    starts, joins and watches Ray
cluster        packaging and health checks for a Ray cluster
"""
