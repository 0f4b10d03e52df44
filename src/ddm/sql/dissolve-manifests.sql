SELECT antipode.dissolve_manifests($1) AS answer
