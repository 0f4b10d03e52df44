-- The gateway's rights. The migrations table and the schema itself belong to the owner; nobody else has any.

GRANT USAGE ON SCHEMA root, antipode TO antipode_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA root, antipode TO antipode_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA root, antipode TO antipode_app;
-- History and outbox rows are written once.
REVOKE UPDATE, DELETE ON root.condition_history FROM antipode_app;
REVOKE UPDATE ON antipode.outbox FROM antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
