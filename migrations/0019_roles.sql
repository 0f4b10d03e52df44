-- The roles of people: antipode_reader reads the views of schema catalog, antipode_writer may do no more until it is
-- granted more. Logins that people get are members of one of the two. Nobody but the owner and the gateway's role has any
-- right to the tables and functions below the views.

DO $$
DECLARE
  v_role text;
BEGIN
  FOREACH v_role IN ARRAY ARRAY['antipode_reader', 'antipode_writer'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = v_role) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', v_role);
      END IF;
    EXCEPTION
      -- Roles belong to the cluster: another database's migration may have been faster.
      WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
END
$$;

-- Gives a login its limits. They are kept per login: members of a role do not inherit them. Who is logged in may change all
-- but the number of connections for the session; they are there against accidents. Rights are what protects the catalog.
CREATE FUNCTION antipode.bound_login(p_role text, p_connections integer, p_read_only boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER ROLE %I CONNECTION LIMIT %s', p_role, p_connections);
  EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = %s', p_role, CASE WHEN p_read_only THEN 'on' ELSE 'off' END);
  EXECUTE format('ALTER ROLE %I SET statement_timeout = ''60s''', p_role);
  EXECUTE format('ALTER ROLE %I SET lock_timeout = ''5s''', p_role);
  EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''60s''', p_role);
  EXECUTE format('ALTER ROLE %I SET max_parallel_workers_per_gather = 0', p_role);
  EXECUTE format('ALTER ROLE %I SET search_path = catalog', p_role);
END
$$;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'antipode_writer' AND r.rolconfig IS NOT NULL) THEN
    GRANT antipode_reader TO antipode_writer;
    PERFORM antipode.bound_login('antipode_reader', 20, true);
    PERFORM antipode.bound_login('antipode_writer', 10, false);
  END IF;
EXCEPTION
  -- A server whose administrator keeps the roles: the same can be done there.
  WHEN insufficient_privilege THEN
    RAISE WARNING 'the roles antipode_reader and antipode_writer could not be given their limits: %', SQLERRM;
END
$$;

DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO antipode_app, antipode_reader, antipode_writer', current_database());
  REVOKE ALL ON SCHEMA public FROM PUBLIC;
EXCEPTION
  WHEN insufficient_privilege OR invalid_schema_name THEN
    RAISE WARNING 'the rights of everybody could not be taken back: %', SQLERRM;
END
$$;

GRANT USAGE ON SCHEMA catalog TO antipode_reader, antipode_writer;
GRANT SELECT ON catalog.exceptions TO antipode_reader, antipode_writer;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
