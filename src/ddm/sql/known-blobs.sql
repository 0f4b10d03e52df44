SELECT id FROM antipode.blob WHERE id = ANY ($1::uuid[])
