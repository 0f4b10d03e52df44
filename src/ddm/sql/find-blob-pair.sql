SELECT pair FROM antipode.blob WHERE id = $1 AND state = 'live'
