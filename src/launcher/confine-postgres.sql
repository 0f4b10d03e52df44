-- Takes back, in the database that it is run in, what Postgres lets everybody do and what would let readers of the catalog get
-- in the store's way: large objects (they fill the disk), advisory locks (commits use them), transaction ids (an open one holds up
-- the change feed), messages in the WAL. As superuser, once, when the roles antipode_owner and antipode_app are there; it may be
-- run again. `antipode start` and `antipode directory` do it by themselves.
DO $$
DECLARE
  f regprocedure;
BEGIN
  FOR f IN
    SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND (p.proname ~ '^pg_(try_)?advisory_'
           OR p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_open', 'lo_put', 'lowrite', 'lo_truncate', 'lo_truncate64',
                            'lo_unlink', 'pg_logical_emit_message', 'pg_current_xact_id', 'txid_current'))
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO antipode_owner, antipode_app', f);
  END LOOP;
END
$$;
