SELECT id, weight FROM root.pair WHERE kind = 'node' ORDER BY id
