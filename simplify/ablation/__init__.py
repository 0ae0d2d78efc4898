"""Ablation: removal of parts that training does not need.

ablate       tests smaller programs and keeps those that train no worse
trial        sequential non-inferiority test of two programs
"""
