-- Prepares a Postgres that you run (15 or newer) to be a directory. Once, as superuser, on the primary:
--   psql -v owner_password=… -v app_password=… -f deploy/prepare-postgres.sql
-- antipode_owner runs the migrations, and makes the roles antipode_reader and antipode_writer in them; gateways work as
-- antipode_app. Names compare bytewise whatever the database's collation is.
CREATE ROLE antipode_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE antipode_app LOGIN PASSWORD :'app_password';
CREATE DATABASE antipode OWNER antipode_owner ENCODING 'UTF8' TEMPLATE template0;
-- What is acknowledged can be read on the standby. Which standby commits wait for is synchronous_standby_names (Patroni
-- sets it by itself).
ALTER DATABASE antipode SET synchronous_commit = 'remote_apply';
