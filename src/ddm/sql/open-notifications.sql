SELECT antipode.open_notifications()
