SELECT f.floor FROM root.name_feed f
