/**
 * What a conformance run said: outcomes by test, groups, and the comparison with the list of expected failures. Pure.
 */
export type Outcome = 'passed' | 'failed' | 'skipped';

export interface TestResult {
  /** `test_s3::test_bucket_list_empty`, with the parameters of a parametrised test in brackets. */
  readonly id: string;
  readonly outcome: Outcome;
  readonly marks: readonly string[];
  readonly seconds: number;
  /** First line; '' when it passed. */
  readonly error: string;
  /** Why its buckets could not be removed afterwards. */
  readonly leftBehind?: string;
}

interface Line {
  readonly id?: string;
  readonly marks?: readonly string[];
  readonly when: 'setup' | 'call' | 'teardown';
  readonly outcome: Outcome;
  readonly seconds: number;
  readonly error: string;
  readonly leftBehind?: string;
}

const RANK: Readonly<Record<Outcome, number>> = { passed: 0, skipped: 1, failed: 2 };

/** @param text JSON lines, one for each step (setup, call, teardown) of a test: its worst step is its outcome */
export function readResults(text: string): Map<string, TestResult> {
  const results = new Map<string, TestResult>();
  for (const raw of text.split('\n')) {
    if (raw === '') continue;
    const line = JSON.parse(raw) as Line;
    if (line.id === undefined) continue;
    const before = results.get(line.id);
    const isWorse = !before || RANK[line.outcome] > RANK[before.outcome];
    results.set(line.id, {
      id: line.id,
      outcome: isWorse ? line.outcome : before.outcome,
      marks: line.marks ?? [],
      seconds: (before?.seconds ?? 0) + line.seconds,
      error: isWorse ? line.error : before.error,
      ...(line.leftBehind === undefined ? {} : { leftBehind: line.leftBehind }),
    });
  }
  return results;
}

/** The first that fits: by the test's name, or by one of its marks. */
const GROUPS: readonly (readonly [name: string, byName: RegExp | null, ...marks: string[]])[] = [
  ['bucket_logging', /logging/, 'bucket_logging'],
  ['cloud_tiering', null, 'cloud_transition', 'cloud_restore', 'target_by_bucket'],
  ['iam', /^test_(iam|sts)::/, 'iam_account', 'iam_cross_account', 'iam_role', 'iam_tenant', 'iam_user'],
  ['sigv2', null, 'auth_aws2'],
  ['headers', /^test_headers::/],
  ['website', /website/, 's3website', 's3website_routing_rules', 's3website_redirect_location'],
  ['lifecycle_run', /lifecycle_(expiration|transition)/, 'lifecycle_expiration', 'lifecycle_transition'],
  ['lifecycle_config', /lifecycle/, 'lifecycle'],
  ['object_lock', /object_lock/, 'object_lock'],
  ['encryption_copies', /::test_copy_(part_)?enc/],
  ['encryption_customer', /sse_c|::test_encrypted_transfer|::test_encryption_key/],
  ['encryption_kms', /kms/],
  ['encryption_sse_s3', /sse_s3|enc_conflict/, 'sse_s3', 'bucket_encryption', 'encryption'],
  ['append_object', null, 'appendobject'],
  ['checksum', /checksum|cksum/, 'checksum'],
  ['conditional_read', /::test_get_object_if/],
  [
    'conditional_write',
    /::test_(?!copy).*_if_?(none)?match|delete_objects?_(current_|version_)?if/,
    'conditional_write',
  ],
  ['object_ownership', /ownership/, 'object_ownership'],
  ['public_access_block', /public_block|(block|ignore|restrict)_public/],
  ['cors', /cors/],
  ['post_object', /post_object/],
  ['bucket_policy', /policy/, 'bucket_policy'],
  ['tagging', /tagging|_tags/, 'tagging'],
  ['versioning', /version/, 'versioning', 'delete_marker'],
  ['multipart', /multipart/],
  ['copy', /copy/, 'copy'],
  ['list_objects_v2', /list_?v2/, 'list_objects_v2'],
  ['list_objects', /::test_bucket_list_(?!return_data_)|basic_key_count|list_objects/],
  ['acl', /acl|grant|::test_access_bucket/],
  ['presigned_anonymous', /::test_object_raw|presigned|anon/],
  ['ranged_atomic', /ranged|atomic|100_continue/],
  ['bucket_naming', /bucket_create_(naming|bad|special)/],
  ['object_attributes', /attributes/],
  ['delete_objects', /multi_object(v2)?_delete|delete_objects|::test_object_delete/],
  ['buckets', /bucket/],
];

export function groupOf({ id, marks }: Pick<TestResult, 'id' | 'marks'>): string {
  const plain = id.split('[', 1)[0]!;
  const found = GROUPS.find(
    ([, byName, ...byMark]) => byName?.test(plain) || byMark.some((mark) => marks.includes(mark)),
  );
  return found?.[0] ?? 'objects';
}

/** By test; throws where a line has no reason, or stands twice. */
export function readExpected(text: string, name: string): Map<string, string> {
  const expected = new Map<string, string>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, id, reason] = /^(\S+)\s+(\S.*)$/.exec(line) ?? [];
    if (id === undefined || reason === undefined)
      throw new Error(`${name}:${index + 1}: needs a test and, after white space, why it fails`);
    if (expected.has(id)) throw new Error(`${name}:${index + 1}: ${id} stands twice`);
    expected.set(id, reason);
  }
  return expected;
}

export interface Comparison {
  /** Failed, and not on the list. */
  readonly surpriseFailures: readonly TestResult[];
  /** On the list, and passed. */
  readonly surprisePasses: readonly TestResult[];
  /** On the list, and not among the tests that a whole run has. */
  readonly unknown: readonly string[];
}

/** @param isWhole whether every test of the suite was run, so that one of the list that was not run does not exist */
export function compare(
  results: ReadonlyMap<string, TestResult>,
  expected: ReadonlyMap<string, string>,
  isWhole: boolean,
): Comparison {
  const all = [...results.values()];
  return {
    surpriseFailures: all.filter((r) => r.outcome === 'failed' && !expected.has(r.id)),
    surprisePasses: all.filter((r) => r.outcome === 'passed' && expected.has(r.id)),
    unknown: isWhole ? [...expected.keys()].filter((id) => !results.has(id)) : [],
  };
}

const countOf = (results: readonly TestResult[], outcome: Outcome): number =>
  results.filter((r) => r.outcome === outcome).length;

/** Markdown: a line of totals, and a table by group, the groups that pass whole first. */
export function countsTable(results: ReadonlyMap<string, TestResult>): string {
  const all = [...results.values()];
  const [passed, failed, skipped] = (['passed', 'failed', 'skipped'] as const).map((o) => countOf(all, o));
  const rows = [...Map.groupBy(all, groupOf)]
    .map(([group, tests]) => ({
      group,
      passed: countOf(tests, 'passed'),
      of: tests.length - countOf(tests, 'skipped'),
    }))
    .filter(({ of }) => of > 0)
    .toSorted((a, b) => b.passed / b.of - a.passed / a.of || b.of - a.of)
    .map((row) => `| ${row.group} | ${row.passed} | ${row.of} |`);
  const head = `${all.length} tests: **${passed} passed**, ${failed} failed, ${skipped} skipped.`;
  return [head, '', '| group | passed | of |', '|---|---|---|', ...rows, ''].join('\n');
}
