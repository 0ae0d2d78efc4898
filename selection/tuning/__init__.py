"""Tuning of contenders with equal budgets.

tuner             rounds of trials on one or several tasks
objective         what a tuning minimises on one or several tasks
schedule          order of the training runs of several tunings
families          families of baselines, and baselines that contain each other
sensitivity       loss against rate and weight decay over the trials
rate_sensitivity  loss at multiples of the tuned rate, all else fixed
tuning_curve      loss against tuning budget
"""
