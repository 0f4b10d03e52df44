SELECT event, payload->'result' AS answer FROM antipode.outbox WHERE event = ANY ($1::uuid[])
