SELECT * FROM root.resync ORDER BY member
