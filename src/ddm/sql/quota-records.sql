SELECT q.subject, q.bytes_max, q.objects_max FROM antipode.quota q ORDER BY q.subject
