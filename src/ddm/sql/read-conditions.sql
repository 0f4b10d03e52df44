SELECT root.conditions() AS answer
