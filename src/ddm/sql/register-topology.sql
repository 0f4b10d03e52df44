SELECT root.register_topology($1)
