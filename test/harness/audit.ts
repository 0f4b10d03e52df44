/**
 * The full recount of a directory: references, usage and "latest" marks, each compared with what the rows say. Every
 * query answers the rows that are wrong.
 */
export const AUDIT = {
  /** Counted by blob and by manifest, dying ones included (they are counted 0 and nobody names them). */
  references: `
WITH counted AS (
  SELECT blob_id AS id FROM antipode.version WHERE blob_id IS NOT NULL
  UNION ALL SELECT blob_id FROM antipode.manifest_part WHERE blob_id IS NOT NULL
  UNION ALL SELECT blob_id FROM antipode.upload_part WHERE blob_id IS NOT NULL
), sums AS (SELECT id, count(*) AS n FROM counted GROUP BY id)
SELECT 'blob' AS what, coalesce(b.id, s.id)::text AS id, b.ref_count, s.n
FROM antipode.blob b FULL JOIN sums s ON s.id = b.id WHERE coalesce(b.ref_count, -1) <> coalesce(s.n, 0)
UNION ALL
SELECT 'manifest', coalesce(m.id, s.id)::text, m.ref_count, s.n
FROM antipode.manifest m
FULL JOIN (SELECT manifest_id AS id, count(*) AS n FROM antipode.version WHERE manifest_id IS NOT NULL GROUP BY 1) s
  ON s.id = m.id
WHERE coalesce(m.ref_count, -1) <> coalesce(s.n, 0)`,

  /** What is named is live; what nobody names does not stay so. */
  lives: `
SELECT 'blob' AS what, b.id::text AS id, b.state, b.ref_count FROM antipode.blob b
WHERE (b.state = 'live') <> (
  EXISTS (SELECT FROM antipode.version v WHERE v.blob_id = b.id)
  OR EXISTS (SELECT FROM antipode.manifest_part p WHERE p.blob_id = b.id)
  OR EXISTS (SELECT FROM antipode.upload_part u WHERE u.blob_id = b.id))
UNION ALL
SELECT 'manifest', m.id::text, CASE WHEN m.dying_since IS NULL THEN 'live' ELSE 'dying' END, m.ref_count
FROM antipode.manifest m
WHERE (m.dying_since IS NULL) <> EXISTS (SELECT FROM antipode.version v WHERE v.manifest_id = m.id)
UNION ALL
SELECT 'version', v.version_id, 'no bytes', NULL FROM antipode.version v
LEFT JOIN antipode.manifest m ON m.id = v.manifest_id
WHERE v.size > 0 AND v.blob_id IS NULL AND v.manifest_id IS NULL
   OR v.manifest_id IS NOT NULL AND (m.id IS NULL OR m.size <> v.size OR m.part_count <> v.part_count)
UNION ALL
SELECT 'part of no manifest', p.manifest_id::text, NULL, NULL FROM antipode.manifest_part p
WHERE NOT EXISTS (SELECT FROM antipode.manifest m WHERE m.id = p.manifest_id)
UNION ALL
SELECT 'part of no open upload', p.upload_id, NULL, NULL FROM antipode.upload_part p
WHERE NOT EXISTS (SELECT FROM antipode.upload u WHERE u.upload_id = p.upload_id AND u.state = 'open')
UNION ALL
SELECT 'replica of no blob', r.blob_id::text, NULL, NULL FROM antipode.off_map_replica r
WHERE NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = r.blob_id)
UNION ALL
SELECT 'repair of no blob', r.blob_id::text, r.member, NULL FROM antipode.repair r
WHERE NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = r.blob_id)
UNION ALL
SELECT 'nobody is to repair what a handoff stands for', r.blob_id::text, r.home, NULL FROM antipode.off_map_replica r
JOIN antipode.blob b ON b.id = r.blob_id AND b.state = 'live'
WHERE r.home IS NOT NULL
  AND NOT EXISTS (SELECT FROM antipode.repair k WHERE k.blob_id = r.blob_id AND k.member = r.home)`,

  usage: `
SELECT coalesce(r.bucket_id, d.bucket_id) AS bucket
FROM (SELECT bucket_id, count(*) FILTER (WHERE NOT is_delete_marker) AS versions, sum(size) AS bytes
      FROM antipode.version GROUP BY 1) r
FULL JOIN (SELECT bucket_id, sum(versions) AS versions, sum(bytes) AS bytes
           FROM (SELECT bucket_id, versions, bytes FROM antipode.usage_delta
                 UNION ALL SELECT bucket_id, versions, bytes FROM antipode.usage) u GROUP BY 1) d
  ON d.bucket_id = r.bucket_id
WHERE coalesce(r.versions, 0) <> coalesce(d.versions, 0) OR coalesce(r.bytes, 0) <> coalesce(d.bytes, 0)`,

  latest: `
SELECT bucket_id, key FROM antipode.version
GROUP BY 1, 2
HAVING max(seq) <> coalesce(max(seq) FILTER (WHERE is_latest), -1) OR count(*) FILTER (WHERE is_latest) <> 1
    OR count(*) FILTER (WHERE version_id = 'null') > 1`,
} as const;

/** What is wrong, by query; nothing when all is well. Nothing else may be writing. */
export async function auditOf(
  rows: (sql: string) => Promise<readonly unknown[]>,
): Promise<Readonly<Record<string, readonly unknown[]>>> {
  const wrong: Record<string, readonly unknown[]> = {};
  for (const [what, sql] of Object.entries(AUDIT)) {
    const found = await rows(sql);
    if (found.length > 0) wrong[what] = found;
  }
  return wrong;
}
