"""Durable file operations for folders that many processes and nodes share.

The only room that calls `os.link`, `os.rename`, `os.replace` and `os.unlink` on shared files.
Everything here raises `OSError`; rooms turn that into `DiskTrouble` at their edge.
"""
