"""Arrays that ship with the package; `CREDITS.md` lists their sources and modifications."""
