"""Arrays that ship with the package; `CREDITS.md` says where they come from and what was changed."""
