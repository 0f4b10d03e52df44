SELECT NOT pg_is_in_recovery() AS writable,
       current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') <> 'off'
         AND current_setting('synchronous_commit') <> 'local' AS synchronous
