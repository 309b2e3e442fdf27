"""What several tests share: data, disks, networks, and processes. Tests never import from each other."""
