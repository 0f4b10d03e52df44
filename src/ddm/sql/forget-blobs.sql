SELECT antipode.forget_blobs($1)
