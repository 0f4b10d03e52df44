-- What a new connection asks first. abandoned: backends of this role whose commit has waited for the twin for longer than
-- $1 ms, so that whoever asked for it has gone.
SELECT pg_is_in_recovery() AS standby,
       (SELECT count(*) FROM pg_stat_activity a
        WHERE a.wait_event = 'SyncRep' AND a.usename = current_user
          AND a.query_start < clock_timestamp() - $1::double precision * interval '1 millisecond') AS abandoned
