SELECT antipode.begin_rebuild() AS answer
