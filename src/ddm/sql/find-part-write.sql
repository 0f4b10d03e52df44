SELECT last_modified FROM antipode.upload_part WHERE upload_id = $1 AND part_number = $2 AND write_id = $3
