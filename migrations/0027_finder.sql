-- For the agents of directories, which tell who searches for a bucket whether it is here: its name and nothing else. They
-- take this role on, nobody logs in as it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'antipode_finder') THEN
    CREATE ROLE antipode_finder NOLOGIN;
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
GRANT USAGE ON SCHEMA antipode TO antipode_finder;
GRANT SELECT (id, name) ON antipode.bucket TO antipode_finder;
