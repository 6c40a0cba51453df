from archives import archive, cluster, ray_home, start

__all__ = ["archive", "cluster", "ray_home", "start"]
