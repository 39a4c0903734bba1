"""Verbs: one file per thing that can happen. The only place where the features meet."""
