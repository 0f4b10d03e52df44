SELECT b.record FROM antipode.notification_bucket b ORDER BY b.id
