SELECT pair FROM root.directory ORDER BY ordinal
