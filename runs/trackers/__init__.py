"""Experiment trackers: optional receivers of a run's curves, best programs and report.

tracker      the protocol of a tracker, and what it is told of a run
tracking     the callback that passes the events of a run on to a tracker
by_name      shipped trackers and plug-ins by name
tensorboard  event files for TensorBoard
mlflow       runs of MLflow
wandb        runs of Weights & Biases
"""
