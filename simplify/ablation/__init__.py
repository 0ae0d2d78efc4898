"""Removal of what training does not need.

ablate       tries smaller programs and keeps those that train no worse
trial        a sequential test of whether one program trains as well as another
"""
