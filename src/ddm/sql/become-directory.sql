SELECT antipode.become_directory($1, $2) AS answer
