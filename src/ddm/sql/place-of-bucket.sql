SELECT antipode.place_of($1) AS place
