-- What has been decided about the members of this directory's own pair. The deciders keep their own durable record (they
-- must decide while no directory takes a row); the agent of the primary copies it here as soon as it can.

-- The epoch of a directory pair is its servers' timeline: each promotion begins a new one.
CREATE TABLE antipode.timeline (
  timeline   integer PRIMARY KEY,
  member     text COLLATE "C" NOT NULL,
  at         timestamptz NOT NULL,
  why        text NOT NULL,
  decided_by text NOT NULL
);
COMMENT ON TABLE antipode.timeline IS 'Each promotion of this directory pair: the Postgres timeline that it began, and who became the primary';

CREATE TABLE antipode.directory_decision (
  pair       text COLLATE "C" NOT NULL,
  at         timestamptz NOT NULL,
  what       text NOT NULL CHECK (what IN ('left-out', 'may-return', 'returned', 'promoted')),
  member     text COLLATE "C" NOT NULL,
  why        text NOT NULL,
  decided_by text NOT NULL,
  -- The primary's when the row was written.
  timeline   integer NOT NULL,
  PRIMARY KEY (pair, at, what)
);
COMMENT ON TABLE antipode.directory_decision IS 'Every decision about this directory pair; the last one says whether commits wait for the twin: after left-out, may-return and promoted they do not';
COMMENT ON COLUMN antipode.directory_decision.what IS 'left-out: commits no longer wait for the member; may-return: an operator lets it return; returned: they wait again; promoted: it is the primary, and its twin is out';

GRANT SELECT ON antipode.timeline, antipode.directory_decision TO antipode_app;
