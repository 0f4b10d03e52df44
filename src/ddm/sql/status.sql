SELECT NOT pg_is_in_recovery() AS writable,
       current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') <> 'off'
         AND current_setting('synchronous_commit') <> 'local' AS synchronous,
       -- The first eight digits of a segment's name; a standby writes none.
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer END AS timeline
