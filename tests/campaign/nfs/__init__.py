"""Two clients of one NFS server, in a small virtual machine."""
