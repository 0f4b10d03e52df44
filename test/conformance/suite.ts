/**
 * How the public suite is run against a store: its identities, its configuration file, and pytest in three phases: the
 * tests that mostly wait for the store's own work (lifecycle days), many at once; the rest; those that look at a whole
 * account, alone.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, type Store } from '../harness/store.ts';
import { readResults, type TestResult } from './results.ts';

export interface SuiteOptions {
  readonly suite: string;
  readonly python: string;
  /** Folders with Python packages that the interpreter does not have by itself. */
  readonly pythonPath: readonly string[];
  readonly files: readonly string[];
  /** Tests with one of these marks are left out: an expression of pytest's -m, or ''. */
  readonly without: string;
  /** pytest's -k, or ''. */
  readonly keyword: string;
  readonly workers: number;
  readonly waitingWorkers: number;
  /** Of one test. */
  readonly timeoutSeconds: number;
  /** Of a day of lifecycle rules. */
  readonly lifecycleDaySeconds: number;
  /** Also each pair of storage classes of the tests that copy between encryptions. */
  readonly full: boolean;
  readonly out: string;
}

interface SuiteUser {
  /** In the suite's configuration. */
  readonly section: string;
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly tenant?: string;
}

const user = (section: string, id: string, name: string, word: string, tenant?: string): SuiteUser => ({
  section,
  id,
  name,
  email: `${word.toLowerCase()}@conformance.test`,
  accessKey: `CONFORMANCE${word.toUpperCase()}`.padEnd(20, '0'),
  secretKey: `secret-of-${word.toLowerCase()}-`.padEnd(40, '0'),
  ...(tenant === undefined ? {} : { tenant }),
});

/** Radosgw's ids of users with a tenant have the form `TENANT$USER`. */
const USERS: readonly SuiteUser[] = [
  user('s3 main', 'conformancemain', 'Conformance Main', 'main'),
  user('s3 alt', 'conformancealt', 'Conformance Alt', 'alt'),
  user('s3 tenant', 'testx$conformancetenant', 'Conformance Tenant', 'tenant', 'testx'),
  user('iam', 'conformanceiam', 'Conformance IAM', 'iam'),
  user('iam root', 'RGW11111111111111111', 'Conformance Root', 'root'),
  user('iam alt root', 'RGW22222222222222222', 'Conformance Other Root', 'other'),
];

const NEEDS = ['boto3', 'pytest', 'yaml', 'requests', 'munch', 'isodate', 'pytz', 'xdist', 'pytest_timeout'];

/** @throws with what is missing of the interpreter's packages */
export function checkPython(o: SuiteOptions): void {
  const probe =
    'import importlib.util, sys; print(*[n for n in sys.argv[1:] if not importlib.util.find_spec(n)])';
  const missing = execFileSync(o.python, ['-c', probe, ...NEEDS], {
    env: environment(o),
    encoding: 'utf8',
  }).trim();
  if (missing !== '') throw new Error(`${o.python} lacks: ${missing} (give --python or --python-path)`);
}

export async function createUsers(store: Store): Promise<void> {
  for (const u of USERS) {
    const run = runCommand([
      ...['user', 'create', u.id, '--admin', new URL(store.adminEndpoint).host, '--data', store.dataDir],
      ...[
        '--display-name',
        u.name,
        '--email',
        u.email,
        '--access-key',
        u.accessKey,
        '--secret-key',
        u.secretKey,
      ],
      ...(u.tenant === undefined ? [] : ['--tenant', u.tenant]),
    ]);
    if ((await run.exited) !== 0) throw new Error(`user ${u.id} could not be made: ${run.stderr()}`);
  }
}

function configuration(o: SuiteOptions, store: Store): string {
  const { hostname, port } = new URL(store.endpoint);
  const sections = USERS.map((u) =>
    [
      `[${u.section}]`,
      `display_name = ${u.name}`,
      `user_id = ${u.id}`,
      `email = ${u.email}`,
      `access_key = ${u.accessKey}`,
      `secret_key = ${u.secretKey}`,
      ...(u.tenant === undefined ? [] : [`tenant = ${u.tenant}`]),
      ...(u.section === 's3 main' ? mainSettings(o) : []),
    ].join('\n'),
  );
  return [
    `[DEFAULT]\nhost = ${hostname}\nport = ${port}\nis_secure = False\nssl_verify = False`,
    '[fixtures]\nbucket prefix = conformance-{random}-\niam name prefix = conformance-\niam path prefix = /conformance/',
    ...sections,
    '',
  ].join('\n');
}

/** Of the store: what radosgw's first zone group is called. The suite's clients sign for others, and for none. */
export const SUITE_REGION = 'default';

const mainSettings = (o: SuiteOptions): string[] => [
  `api_name = ${SUITE_REGION}`,
  'kms_keyid = testkey-1',
  'kms_keyid2 = testkey-2',
  'storage_classes = STANDARD_IA, ONEZONE_IA',
  `lc_debug_interval = ${o.lifecycleDaySeconds}`,
];

function environment(o: SuiteOptions): NodeJS.ProcessEnv {
  const path = process.env.PATH ?? '';
  return {
    PATH: path,
    HOME: o.out,
    LC_ALL: 'C.UTF-8',
    NO_PROXY: '*',
    PYTHONPATH: [...o.pythonPath, import.meta.dirname].join(':'),
    PYTHONDONTWRITEBYTECODE: '1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_MAX_ATTEMPTS: '2',
    S3TEST_CONF: join(o.out, 's3tests.conf'),
  };
}

interface Phase {
  readonly name: string;
  readonly workers: number;
  /** Only these tests. */
  readonly only?: readonly string[];
}

/** More failures than this are no accident, and are not run again. */
const REPEATED_MAX = 60;

/** Runs what was asked for; what failed unexpectedly is run a second time without a crowd. */
export async function runSuite(
  o: SuiteOptions,
  store: Store,
  isExpected: (id: string) => boolean,
  print: (line: string) => void,
): Promise<{ results: Map<string, TestResult>; flaky: string[] }> {
  mkdirSync(o.out, { recursive: true });
  writeFileSync(join(o.out, 's3tests.conf'), configuration(o, store), { mode: 0o600 });
  const results = new Map<string, TestResult>();
  for (const phase of [
    { name: 'waiting', workers: o.waitingWorkers },
    { name: 'together', workers: o.workers },
    { name: 'alone', workers: 0 },
  ])
    for (const [id, result] of await runPhase(o, phase, print)) results.set(id, result);
  const failed = [...results.values()].filter((r) => r.outcome === 'failed' && !isExpected(r.id));
  const flaky: string[] = [];
  if (failed.length > 0 && failed.length <= REPEATED_MAX) {
    const only = failed.map((r) => r.id);
    for (const [id, result] of await runPhase(o, { name: 'again', workers: 0, only }, print)) {
      results.set(id, result);
      if (result.outcome === 'passed') flaky.push(id);
    }
  }
  return { results, flaky };
}

async function runPhase(
  o: SuiteOptions,
  phase: Phase,
  print: (line: string) => void,
): Promise<Map<string, TestResult>> {
  const file = join(o.out, `results-${phase.name}.jsonl`);
  writeFileSync(file, '');
  const onlyFile = join(o.out, `only-${phase.name}.txt`);
  if (phase.only) writeFileSync(onlyFile, phase.only.join('\n'));
  const startedAt = performance.now();
  const log = openSync(join(o.out, `pytest-${phase.name}.log`), 'w');
  const child = spawn(o.python, pytestArguments(o, phase), {
    cwd: o.suite,
    stdio: ['ignore', log, log],
    env: {
      ...environment(o),
      CONFORMANCE_PHASE: phase.name,
      CONFORMANCE_RESULTS: file,
      CONFORMANCE_FULL: o.full ? '1' : '0',
      ...(phase.only ? { CONFORMANCE_ONLY: onlyFile } : {}),
    },
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  closeSync(log);
  const results = readResults(readFileSync(file, 'utf8'));
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  // 0: all passed, 1: some failed, 5: none was chosen.
  if (code !== 0 && code !== 1 && code !== 5)
    throw new Error(`pytest ended with ${code}: see ${join(o.out, `pytest-${phase.name}.log`)}`);
  print(`   ${phase.name}: ${results.size} tests, ${seconds} s`);
  return results;
}

function pytestArguments(o: SuiteOptions, phase: Phase): string[] {
  return [
    ...['-m', 'pytest', '-q', '--tb=short', '-p', 'conformance_plugin', '-p', 'pytest_timeout'],
    ...['-p', 'no:cacheprovider', '-o', 'console_output_style=classic'],
    ...[`--timeout=${o.timeoutSeconds}`, '--timeout-method=signal'],
    ...(phase.workers > 0 ? ['-p', 'xdist.plugin', '-n', String(phase.workers), '--dist', 'load'] : []),
    ...(o.without === '' ? [] : ['-m', `not (${o.without})`]),
    ...(o.keyword === '' ? [] : ['-k', o.keyword]),
    ...o.files.map((name) => join('s3tests', 'functional', name)),
  ];
}
